// SPDX-License-Identifier: Apache-2.0
import SystemPackage

extension StreamTransport {
  /// Reads straight into the buffer that the protocol brings.
  func readIntoProtocolsBuffer() {
    var outcome: Result<Int, Errno>?
    do {
      try bufferedReceiver?.withBuffer(sizeHint: EventLoop.readLimit) { target in
        guard target.count > 0 else { throw EventLoopError.emptyBuffer }
        do throws(Errno) {
          outcome = .success(try loop.kernel.receive(socket.descriptor, into: &target))
        } catch {
          outcome = .failure(error)
        }
      }
    } catch {
      protocolFailed("withBuffer", error)
      return
    }
    switch outcome {
    case .none: protocolFailed("withBuffer", EventLoopError.emptyBuffer)
    case .failure(let error): readFailed(error)
    case .success(0): receiveEnd()
    case .success(let count):
      do { try bufferedReceiver?.bufferUpdated(count) } catch { protocolFailed("bufferUpdated", error) }
    }
  }
}
