// SPDX-License-Identifier: Apache-2.0
import AsyncIO

let lookUpAndFileSteps = [
  Step("a name looked up", lookUp),
  Step("a file sent", sentFile),
]

@Sendable func lookUp(_ loop: EventLoop) async throws -> String {
  let answers = try await loop.getaddrinfo(host: "localhost", port: 80, type: .stream)
  guard let first = answers.first else { throw Failure("localhost has no address") }
  let names = try await loop.getnameinfo(first.address, flags: .numericService)
  return "localhost:80 is \(first.address), which is called \(names.host)"
}

@Sendable func sentFile(_ loop: EventLoop) async throws -> String {
  // The program itself is the largest file that is there for certain; a part of it will do.
  let file = try FileDescriptor.open("/proc/self/exe", .readOnly, options: .closeOnExec)
  defer { try? file.close() }
  let size = Int(min(try file.seek(offset: 0, from: .end), 4 << 20))
  let server = try await loop.startServer(host: "127.0.0.1", port: 0) { _, writer in
    try await writer.send("before ")
    try await writer.sendFile(file, count: size)
    try await writer.send(" after")
  }
  defer { server.close() }
  let (reader, writer) = try await loop.openConnection(host: "127.0.0.1", port: server.port)
  defer { writer.close() }
  let received = try await reader.read()
  try expect("bytes", received.count, is: 7 + size + 6)
  try expect(received.starts(with: Array("before ".utf8)), "what was written before did not come first")
  try expect(received.suffix(6) == Array(" after".utf8), "what was written after did not come last")
  let sum = received.dropFirst(7).prefix(size).reduce(into: UInt64(0)) { $0 = $0 &* 31 &+ UInt64($1) }
  var bytes = [UInt8](repeating: 0, count: size)
  var filled = 0
  while filled < size {
    let count = try bytes.withUnsafeMutableBytes {
      try file.read(fromAbsoluteOffset: Int64(filled), into: UnsafeMutableRawBufferPointer(rebasing: $0[filled...]))
    }
    if count == 0 { throw Failure("the file ended early") }
    filled += count
  }
  try expect("checksum", sum, is: bytes.reduce(into: UInt64(0)) { $0 = $0 &* 31 &+ UInt64($1) })
  return "\((size / 1024).grouped) KiB by the kernel, in order with what was written"
}
