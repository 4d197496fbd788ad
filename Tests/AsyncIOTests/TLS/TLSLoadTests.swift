// SPDX-License-Identifier: Apache-2.0
import AsyncIOTLS
import SystemPackage
import Testing

@testable import AsyncIO

/// Much over TLS: bytes, connections, handshakes.
@Suite struct TLSLoadTests {
  @Test("64 MiB each way arrive as they were sent")
  func bulk() throws {
    try runLoop { loop, _ in
      let size = 64 << 20
      let block = pattern(1 << 20)
      let server = try await loop.startServer(host: "127.0.0.1", port: 0, tls: .server(serverTLS())) { reader, writer in
        try await exchange(loop, reader, writer, block, size)
      }
      let (reader, writer) = try await loop.openConnection(
        host: "127.0.0.1", port: server.port, tls: .client(clientTLS()))
      try await exchange(loop, reader, writer, block, size)
      writer.close()
      try await writer.waitClosed()
      server.close()
      try await server.waitClosed()
    }
  }

  @Test("25 clients with large payloads all finish")
  func manyClients() throws {
    try runLoop { loop, _ in
      let block = pattern(256 << 10)
      let server = try await loop.startServer(host: "127.0.0.1", port: 0, tls: .server(serverTLS())) { reader, writer in
        for try await chunk in reader { try await writer.send(chunk) }
      }
      let tls = try clientTLS()
      let clients = (0..<25).map { _ in
        loop.createTask {
          let (reader, writer) = try await loop.openConnection(host: "127.0.0.1", port: server.port, tls: .client(tls))
          try await exchange(loop, reader, writer, block, 4 * block.count)
          writer.close()
          try await writer.waitClosed()
        }
      }
      for client in clients { try await client.value }
      server.close()
      try await server.waitClosed()
    }
  }

  @Test("1,000 handshakes leave neither memory nor descriptors behind, nor do 200 that fail")
  func leaks() async {
    // In a process of its own, where nobody else allocates.
    await #expect(processExitsWith: .success) {
      try runLoop { loop, kernel in
        let tls = ProbedTLS(try serverTLS())
        let clients = [try clientTLS(), try clientTLS { $0.maximumVersion = .tls12 }]
        loop.setExceptionHandler { _, _ in }
        let server = try await loop.createServer(Recorder.init, host: "127.0.0.1", port: 0, tls: ServerTLS(tls))
        func handshakes(_ count: Int) async throws {
          for number in 0..<count {
            if number % 5 == 4 {
              let peer = try await Peer.connect(to: try #require(server.address), loop, kernel)
              try peer.send([0x16, 3, 1, 0, UInt8(number % 200), 1, 1, 1, 1])
              peer.close()
            }
            let (reader, writer) = try await loop.openConnection(
              host: "127.0.0.1", port: server.port, tls: .client(clients[number % 2], serverHostname: "localhost"))
            writer.write("x")
            writer.close()
            try await writer.waitClosed()
            withExtendedLifetime(reader) {}
          }
          try await loop.until { server.connectionCount == 0 && tls.living == 0 }
        }
        try await handshakes(300)
        let before = try residentBytes()
        let descriptors = kernel.openDescriptors
        try await handshakes(1000)
        let after = try residentBytes()
        #expect(kernel.openDescriptors == descriptors)
        // An engine that stays is fifty megabytes, a kilobyte a handshake is one.
        if after > before + 1_000_000 { fatalError("\(before) bytes resident before, \(after) after 1,000 handshakes") }
        server.close()
        try await server.waitClosed()
      }
    }
  }
}

/// How much memory the process has.
private func residentBytes() throws -> Int {
  let file = try FileDescriptor.open("/proc/self/statm", .readOnly)
  defer { try? file.close() }
  var bytes = [UInt8](repeating: 0, count: 200)
  let count = try bytes.withUnsafeMutableBytes { try file.read(into: $0) }
  let fields = String(decoding: bytes[..<count], as: UTF8.self).split(separator: " ")
  return try #require(Int(fields[1])) * 4096
}

/// Sends so many bytes in blocks, while as many arrive, which have to be the same.
private func exchange(
  _ loop: EventLoop, _ reader: StreamReader, _ writer: StreamWriter, _ block: [UInt8], _ size: Int
) async throws {
  let sending = loop.createTask {
    for _ in 0..<size / block.count { try await writer.send(block) }
  }
  for number in 0..<size / block.count {
    guard try await reader.readExactly(block.count) == block else {
      Issue.record("block \(number) is not what was sent")
      break
    }
  }
  try await sending.value
}
