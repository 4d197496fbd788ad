// SPDX-License-Identifier: Apache-2.0

/// What a transport needs to encrypt: the engine, its wire, and who awaits the handshake. How far the connection is, the
/// transport's state knows.
final class TLSStage {
  /// How much plaintext is encrypted for one system call: four records.
  static let chunk = 64 * 1024
  /// How much plaintext a record takes.
  static let recordLimit = 16 * 1024
  /// How many such chunks go out before others have their turn.
  static let chunksPerTurn = 4

  /// How many encrypted bytes a peer may send before its answer to our close: more than the sockets on both sides hold,
  /// and so what may have been on its way when it heard of that.
  static let lateLimit = 16 * 1024 * 1024

  let provider: any TLSProvider
  let handshakeTimeout: Duration
  let shutdownTimeout: Duration
  private(set) var engine: any TLSEngine
  let wire: SocketWire
  /// How many of the program's bytes were encrypted and are not with the kernel yet. They count for the marks.
  var encryptedCount = 0
  /// Whether this end accepts.
  private let isServer: Bool
  /// How the handshake ended, for whoever awaits it; nil while it has not.
  private(set) var outcome: Result<Void, any Error>?
  /// The task that awaits the handshake.
  var waiter: Waiter?
  /// Whether somebody awaits the handshake, or will: else its failure goes to the exception handler.
  var isAwaited = true

  init(_ engine: any TLSEngine, _ options: TLSOptions, over wire: SocketWire) {
    self.engine = engine
    self.wire = wire
    provider = options.provider
    isServer = options.role == .server
    handshakeTimeout = options.handshakeTimeout
    shutdownTimeout = options.shutdownTimeout
  }

  /// Goes on over another one, as TLS inside TLS: they are one engine from here on.
  ///
  /// - Parameter received: bytes for this engine that the lower one has decrypted already. Those that it has not are still
  ///   to be decrypted by it: they go to both, whose lower part it is.
  func stack(on lower: TLSStage, received: [UInt8]) {
    engine = StackedTLSEngine(
      engine, over: lower.engine, received: received, acceptsTruncation: provider.insecurelyAcceptsTruncation)
    wire.takeOver(lower.wire)
    encryptedCount = lower.encryptedCount
  }

  /// What was agreed on, once the handshake is done; nil where that has failed.
  var info: TLSInfo? { if case .failure = outcome { nil } else { engine.info } }

  /// Whether the peer takes a handshake that is done on this side for done, whatever became of the last that we sent: in
  /// TLS 1.3 a server sends no more than tickets for sessions then, which it likes to do without.
  var isDoneForPeer: Bool { isServer && engine.info.version == "TLSv1.3" }

  /// Notes how the handshake ended, and wakes whoever awaits it.
  func finishHandshake(_ result: Result<Void, any Error>) {
    guard outcome == nil else { return }
    outcome = result
    waiter.take()?.resume()
  }

  func discardUnsent() {
    wire.pending.removeAll()
    encryptedCount = 0
  }

  /// The connection has ended, for this reason if the handshake was not done.
  func end(_ reason: any Error) {
    wire.discard()
    finishHandshake(.failure(reason))
  }
}
