// SPDX-License-Identifier: Apache-2.0
import SystemPackage

extension StreamTransport {
  /// Claims the write side for a file.
  func beginFileTransfer() throws(EventLoopError) {
    guard state.acceptsWrites, !state.isClosing else {
      throw EventLoopError(.transportState, "sendFile: the transport is closing, or its write side was ended")
    }
    guard !state.isHandshaking else {
      throw EventLoopError(.transportState, "sendFile: the transport is in the middle of a TLS handshake")
    }
    guard !isSendingFile else {
      throw EventLoopError(.transportState, "sendFile: the transport sends another file already")
    }
    makeRarities().fileTransfer = FileTransfer()
  }

  /// Gives the write side back. If it was ended meanwhile, that happens now.
  func endFileTransfer() {
    rarities?.fileTransfer = nil
    lastByteWasSent()
    settle()
  }

  /// Suspends the task until what was written before is out.
  func waitUntilFlushed() async throws {
    while !isFlushed { try await waitUntilWritable() }
    try checkOpen()
  }

  /// Throws once nothing can be sent: the descriptor may be closed.
  func checkOpen() throws {
    if !state.canSend { throw brokenSending ?? IOError(.connectionAbort, "sendfile", name) }
  }

  /// Suspends the task until the kernel takes more.
  func waitUntilWritable() async throws {
    try await loop.wait("StreamTransport.sendFile") { waiter in
      do { try checkOpen() } catch {
        waiter.resume(.failure(error))
        return
      }
      fileTransfer?.waiter = waiter
      waiter.onCancel = { [self] in
        fileTransfer?.waiter = nil
        settle()
      }
      settle()
    }
    try checkOpen()
  }
}
