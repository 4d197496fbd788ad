// SPDX-License-Identifier: Apache-2.0
import SystemPackage

/// The protocol behind a reader and a writer: feeds the one, holds back the other.
final class StreamConnection: StreamProtocol {
  let loop: EventLoop
  let reader: StreamReader
  /// Starts the handler of a server's connection; nil for a client's.
  private var onConnect: ((StreamReader, StreamWriter) -> Void)?
  private var drainWaiters = WaiterQueue()
  private var closeWaiters = WaiterQueue()
  private var isWritingPaused = false
  /// How the connection ended; nil while it has not.
  private var end: Result<Void, any Error>?

  init(_ loop: EventLoop, limit: Int, onConnect: ((StreamReader, StreamWriter) -> Void)? = nil) throws(EventLoopError) {
    self.loop = loop
    self.onConnect = onConnect
    reader = try StreamReader(loop, limit: limit)
  }

  func connectionMade(_ transport: StreamTransport) {
    reader.setTransport(transport)
    let handler = onConnect
    onConnect = nil
    handler?(reader, StreamWriter(transport, self))
  }

  func dataReceived(_ data: Span<UInt8>) { reader.feedData(data) }

  func eofReceived() -> Bool {
    reader.feedEOF()
    // The program may still have an answer to send.
    return true
  }

  func pauseWriting() { isWritingPaused = true }

  func resumeWriting() {
    isWritingPaused = false
    drainWaiters.resumeAll()
  }

  func connectionLost(_ error: (any Error)?) {
    reader.setTransport(nil)
    end = error.map { .failure($0) } ?? .success(())
    if let error { reader.setError(error) } else { reader.feedEOF() }
    drainWaiters.resumeAll()
    closeWaiters.resumeAll()
  }

  /// Whether more may be written without waiting, and nothing has to be told about what was.
  func isReadyForMore(_ transport: StreamTransport) -> Bool {
    !isWritingPaused && end == nil && !transport.isClosing && reader.error == nil
  }

  /// Waits until writing may go on.
  func drain(_ transport: StreamTransport) async throws {
    if let error = reader.error { throw error }
    // The end of a connection is told in an iteration of its own: without letting that one come, a program that
    // writes and drains for ever would never hear of it.
    if transport.isClosing, end == nil { try await loop.sleep(for: .zero) }
    try throwIfEnded()
    while isWritingPaused {
      try await loop.wait("StreamWriter.drain") { waiter in
        if isWritingPaused, end == nil {
          drainWaiters.append(waiter)
          waiter.onCancel = { self.drainWaiters.remove(waiter) }
        } else {
          waiter.resume()
        }
      }
      try throwIfEnded()
    }
  }

  private func throwIfEnded() throws {
    guard let end else { return }
    try end.get()
    throw IOError(.connectionReset, "drain", "a connection that was closed")
  }

  func waitClosed() async throws {
    while end == nil {
      try await loop.wait("StreamWriter.waitClosed") { waiter in
        if end == nil {
          closeWaiters.append(waiter)
          waiter.onCancel = { self.closeWaiters.remove(waiter) }
        } else {
          waiter.resume()
        }
      }
    }
    try end?.get()
  }
}
