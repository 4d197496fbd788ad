// SPDX-License-Identifier: Apache-2.0
import SystemPackage

extension StreamTransport {
  /// Reads straight into the buffer that the protocol brings.
  ///
  /// Whose buffer is filled is told of it, also if it has itself replaced meanwhile.
  func readIntoBuffer(of receiver: any BufferedProtocol) {
    var outcome: Result<Int, Errno>?
    do {
      try receiver.withBuffer(sizeHint: EventLoop.readLimit) { target in
        guard target.count > 0 else { throw EventLoopError.emptyBuffer }
        do throws(Errno) {
          outcome = .success(try loop.kernel.receive(descriptor, into: &target))
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
    case .failure(let error): receivingFailed(error)
    case .success(0): receiveEnd()
    case .success(let count):
      do { try receiver.bufferUpdated(count) } catch { protocolFailed("bufferUpdated", error) }
    }
  }
}
