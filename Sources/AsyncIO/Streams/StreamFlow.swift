// SPDX-License-Identifier: Apache-2.0
import Logging
import SystemPackage

/// What a writer waits for: the flow of one transport, as the transport's protocol is told of it. The heart of asyncio's
/// `FlowControlMixin`.
///
/// Whoever is the transport's protocol passes on ``pauseWriting()``, ``resumeWriting()`` and ``connectionLost(_:)``.
class StreamFlow {
  final let loop: EventLoop
  /// Who waits for writing to go on, or for the end; made for the first.
  private final var changes: Gate?
  private final var isWritingPaused = false
  private final var hasEnded = false
  /// What the connection ended with; nil where it ended well, or has not.
  private final var failure: (any Error)?

  init(_ loop: EventLoop) { self.loop = loop }

  // MARK: The reader of the same connection

  /// Why nothing can be read any more, which ends writing too; nil where something can, and where nothing is read.
  var readFailure: (any Error)? { nil }

  /// Has reads throw the error where they come to the end.
  func cutReaderOff(_ error: DroppedWriterError) {}

  // MARK: What the transport tells

  /// Traps when a method is called from another thread than the loop's. For the writer, to which the loop is two steps away: there
  /// it could not be borrowed.
  final func check(_ method: StaticString) { loop.checkThread(method) }

  final func pauseWriting() { isWritingPaused = true }

  final func resumeWriting() {
    isWritingPaused = false
    changes?.wakeAll()
  }

  func connectionLost(_ error: (any Error)?) {
    hasEnded = true
    failure = error
    changes?.wakeAll()
  }

  // MARK: The writer

  /// Closes the transport, since nobody can write to it any more.
  final func writerWasDropped(_ transport: any WriteTransport, madeAt callSite: CallSite?) {
    let error = DroppedWriterError(callSite: callSite)
    cutReaderOff(error)
    // A server's handler drops its writer by coming to its end.
    if loop.debug, !loop.isClosed, callSite != nil { EventLoop.log.warning("\(error); close() says that it is meant") }
    transport.close()
  }

  /// Whether ``drain(_:)`` would return at once: it would neither wait nor throw.
  final func isReadyForMore(_ transport: any WriteTransport) -> Bool {
    !isWritingPaused && !hasEnded && !transport.isClosing && readFailure == nil
  }

  /// Waits until writing may go on.
  final func drain(_ transport: any WriteTransport) async throws {
    if let readFailure { throw readFailure }
    // A closed transport calls `connectionLost` in an iteration of its own. A program that writes and drains for ever has to
    // let that iteration come, or it would never hear of the end.
    if transport.isClosing, !hasEnded { try await loop.sleep(for: .zero) }
    try throwIfEnded(transport)
    while isWritingPaused {
      try await makeChanges().wait("StreamWriter.drain") { !isWritingPaused || hasEnded }
      if let failure { throw failure }
      try throwIfBroken(transport)
      // Where writing was resumed before the connection ended, what was written is out, and that it has ended is the next
      // call's to tell.
      if isWritingPaused { try throwIfEnded(transport) }
    }
  }

  private final func throwIfEnded(_ transport: any WriteTransport) throws {
    try throwIfBroken(transport)
    guard hasEnded else { return }
    throw failure ?? IOError(.connectionReset, "drain", "a connection that was closed")
  }

  /// A send has failed, and `connectionLost` comes only when what had arrived was delivered. Writing ends now.
  private final func throwIfBroken(_ transport: any WriteTransport) throws {
    if let error = (transport as? StreamTransport)?.brokenSending { throw error }
  }

  final func waitClosed() async throws {
    try await makeChanges().waitUntil("StreamWriter.waitClosed") { hasEnded }
    if let failure { throw failure }
  }

  private final func makeChanges() -> Gate {
    let gate = changes ?? Gate(loop)
    changes = gate
    return gate
  }
}
