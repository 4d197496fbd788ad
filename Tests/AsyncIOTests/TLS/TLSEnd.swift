// SPDX-License-Identifier: Apache-2.0
import AsyncIOTLS
import SystemPackage
import Testing

@testable import AsyncIO

/// A transport of the library's, as the server, and a peer whose TLS the test drives by hand.
struct TLSEnd {
  let recorder: Recorder
  let peer: Peer
  let hand: HandDrivenTLS
  let tls: ProbedTLS

  init(
    _ loop: EventLoop, _ kernel: TestKernel, smallBuffers: Bool = false,
    handshakeTimeout: Duration = ServerTLS.defaultHandshakeTimeout,
    shutdownTimeout: Duration = ServerTLS.defaultShutdownTimeout,
    recorder: Recorder = Recorder()
  ) async throws {
    let (near, far) = try await PairKind.tcp.make(loop, kernel)
    if smallBuffers {
      for socket in [near, far] {
        try socket.setOption(.sendBufferSize, 64 * 1024)
        try socket.setOption(.receiveBufferSize, 64 * 1024)
      }
    }
    let peer = Peer(far)
    recorder.peer = peer
    let tls = ProbedTLS(try serverTLS())
    let hand = try HandDrivenTLS(clientTLS(), .client(serverName: "localhost"))
    let accepting = loop.createTask {
      _ = try await loop.connectAcceptedSocket(
        { recorder }, socket: near,
        tls: ServerTLS(tls, handshakeTimeout: handshakeTimeout, shutdownTimeout: shutdownTimeout))
    }
    try await hand.handshake(peer, on: loop)
    try await hand.run(peer, on: loop) { recorder.calls.contains(.made) }
    try await accepting.value
    (self.recorder, self.peer, self.hand, self.tls) = (recorder, peer, hand, tls)
  }

  func sendCloseNotify() throws {
    hand.close()
    try peer.send(hand.takeOutgoing())
  }

  /// Has the peer close, and waits for the end.
  func end(_ loop: EventLoop) async throws {
    try sendCloseNotify()
    try await loop.until("the connection ends") { recorder.isLost }
  }
}
