// SPDX-License-Identifier: Apache-2.0
import AsyncIO
import AsyncIOTesting
import Testing

@Suite struct TranscriptTests {
  @Test("A transcript's text is read as it was written, whatever bytes are in it")
  func text() throws {
    let transcript = Transcript([
      .bytes(Array(0...255), from: .client), .silence(.milliseconds(1500)),
      .bytes(Array("\"\\ \r\n".utf8), from: .server),
    ])
    #expect(try Transcript(parsing: transcript.description) == transcript)
    let commented = "# what a server says\n\n< \"hi\\n\"\n"
    #expect(try Transcript(parsing: commented) == Transcript([.bytes(Array("hi\n".utf8), from: .server)]))
    for wrong in ["hello", "> hello", "< \"\\q\"", "~ -1", "> \"\\x1\""] {
      #expect(throws: SimulationError.self) { try Transcript(parsing: wrong) }
    }
  }

  @Test("What was recorded is replayed, to a client and to a server, at the same pace")
  func recordAndReplay() async throws {
    try await withTestLoop { loop in
      let real = try loop.servePeers { peer in
        try await peer.send("name?\n")
        try await peer.expect("world\n")
        try await loop.sleep(for: .seconds(2))
        try await peer.send("hello world\n")
      }
      var program: LoopTask<String>?
      let transcript = try await loop.recordConnection(to: "127.0.0.1", port: real.port) { port in
        program = loop.createTask { try await greet(loop, port) }
      }
      #expect(try await program?.value == "hello world\n")
      try await real.finish()
      #expect(
        transcript.description == """
          < "name?\\n"
          > "world\\n"
          ~ 2000000
          < "hello world\\n"

          """)
      // The server's part, to the client.
      let replayed = try loop.servePeers { peer in try await peer.play(.server, of: transcript, on: loop) }
      let begin = loop.time
      #expect(try await greet(loop, replayed.port) == "hello world\n")
      #expect(begin.duration(to: loop.time) == .seconds(2))
      try await replayed.finish()
      // And the client's, to the server.
      let again = try loop.servePeers { peer in try await peer.play(.server, of: transcript, on: loop) }
      let peer = try await loop.connectPeer(host: "127.0.0.1", port: again.port)
      try await peer.play(.client, of: transcript, on: loop)
      peer.close()
      try await again.finish()
    }
  }
}

/// A client of a server that asks for a name.
private func greet(_ loop: EventLoop, _ port: Int) async throws -> String {
  let (reader, writer) = try await loop.openConnection(host: "127.0.0.1", port: port)
  defer { writer.close() }
  _ = try await reader.readLine()
  try await writer.send("world\n")
  return String(decoding: try await reader.readLine(), as: UTF8.self)
}
