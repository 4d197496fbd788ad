// SPDX-License-Identifier: Apache-2.0
import Logging
import SystemPackage

/// What a writer waits for: the flow of one transport, as the transport's protocol is told of it. The heart of asyncio's
/// `FlowControlMixin`.
///
/// Whoever is the transport's protocol passes on ``pauseWriting()``, ``resumeWriting()`` and ``connectionLost(_:)``.
final class StreamFlow {
  let loop: EventLoop
  /// The reader of the same connection, whose error ends writing too; nil where nothing is read.
  let reader: StreamReader?
  /// Who waits for writing to go on, or for the end.
  private let changes: Gate
  private var isWritingPaused = false
  /// How the connection ended; nil while it has not.
  private var end: Result<Void, any Error>?

  init(_ loop: EventLoop, reader: StreamReader? = nil) {
    self.loop = loop
    self.reader = reader
    changes = Gate(loop)
  }

  /// Traps when a method is called from another thread than the loop's. For the writer, to which the loop is two steps away: there
  /// it could not be borrowed.
  func check(_ method: StaticString) { loop.checkThread(method) }

  func pauseWriting() { isWritingPaused = true }

  func resumeWriting() {
    isWritingPaused = false
    changes.wakeAll()
  }

  func connectionLost(_ error: (any Error)?) {
    end = error.map { .failure($0) } ?? .success(())
    changes.wakeAll()
  }

  /// Closes the transport, since nobody can write to it any more.
  func writerWasDropped(_ transport: any WriteTransport, madeAt callSite: CallSite?) {
    let error = DroppedWriterError(callSite: callSite)
    reader?.writerWasDropped(error)
    // A server's handler drops its writer by coming to its end.
    if loop.debug, !loop.isClosed, callSite != nil { EventLoop.log.warning("\(error); close() says that it is meant") }
    transport.close()
  }

  /// Whether ``drain(_:)`` would return at once: it would neither wait nor throw.
  func isReadyForMore(_ transport: any WriteTransport) -> Bool {
    !isWritingPaused && end == nil && !transport.isClosing && reader?.hasFailed != true
  }

  /// Waits until writing may go on.
  func drain(_ transport: any WriteTransport) async throws {
    if let error = reader?.error { throw error }
    // A closed transport calls `connectionLost` in an iteration of its own. A program that writes and drains for ever has to
    // let that iteration come, or it would never hear of the end.
    if transport.isClosing, end == nil { try await loop.sleep(for: .zero) }
    try throwIfEnded(transport)
    while isWritingPaused {
      try await changes.wait("StreamWriter.drain") { !isWritingPaused || end != nil }
      if case .failure(let error) = end { throw error }
      try throwIfBroken(transport)
      // Where writing was resumed before the connection ended, what was written is out, and that it has ended is the next
      // call's to tell.
      if isWritingPaused { try throwIfEnded(transport) }
    }
  }

  private func throwIfEnded(_ transport: any WriteTransport) throws {
    try throwIfBroken(transport)
    guard let end else { return }
    try end.get()
    throw IOError(.connectionReset, "drain", "a connection that was closed")
  }

  /// A send has failed, and `connectionLost` comes only when what had arrived was delivered. Writing ends now.
  private func throwIfBroken(_ transport: any WriteTransport) throws {
    if let error = (transport as? StreamTransport)?.brokenSending { throw error }
  }

  func waitClosed() async throws {
    try await changes.waitUntil("StreamWriter.waitClosed") { end != nil }
    try end?.get()
  }
}
