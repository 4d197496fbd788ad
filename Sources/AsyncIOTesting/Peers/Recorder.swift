// SPDX-License-Identifier: Apache-2.0
public import AsyncIO

extension EventLoop {
  /// Listens, forwards one connection to a server, and records what both ends say until both have ended.
  ///
  /// On a real loop, with a real server behind it, this makes the transcripts that tests replay.
  ///
  /// - Parameters:
  ///   - host: the server's host.
  ///   - port: the server's port.
  ///   - listeningOn: told the port to connect the client to.
  /// - Throws: `ResolutionError`, `IOError`; `CancellationError`.
  public func recordConnection(
    to host: String, port: any ServicePort, listeningOn: (Int) -> Void
  ) async throws -> Transcript {
    let tape = Tape(self)
    let server = try servePeers { client in
      defer { tape.isOver.set() }
      let server = try await self.connectPeer(host: host, port: port)
      defer { server.close() }
      _ = try await self.gather(
        { try await tape.copy(from: client, .client, to: server) },
        { try await tape.copy(from: server, .server, to: client) })
    }
    listeningOn(server.port)
    do {
      try await tape.isOver.wait()
    } catch {
      _ = try? await server.finish(connections: 0)
      throw error
    }
    try await server.finish()
    return tape.transcript
  }
}

/// What a recording is written to.
private final class Tape {
  private let loop: EventLoop
  private var last: EventLoop.Clock.Instant
  private(set) var transcript = Transcript()
  let isOver: Event

  init(_ loop: EventLoop) {
    self.loop = loop
    last = loop.time
    isOver = Event(loop)
  }

  func copy(from source: Peer, _ end: Transcript.End, to target: Peer) async throws {
    while true {
      let bytes = try await source.receive()
      if bytes.isEmpty { return try target.endSending() }
      let now = loop.time
      // Nobody was silent before the first word.
      transcript.add(bytes, from: end, after: transcript.steps.isEmpty ? .zero : last.duration(to: now))
      last = now
      try await target.send(bytes)
    }
  }
}
