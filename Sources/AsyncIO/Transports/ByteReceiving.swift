// SPDX-License-Identifier: Apache-2.0
import SystemPackage

/// A transport that hands a stream of bytes to its protocol.
protocol ByteReceiving: DescriptorTransport {
  /// The protocol, where it brings the buffer.
  var bufferedReceiver: (any BufferedProtocol)? { get }
  func deliver(_ bytes: Span<UInt8>) throws
  /// A receive has failed for good.
  func receivingFailed(_ error: IOError)
}

extension ByteReceiving {
  /// Receives once: what is left is for the next tick.
  @inline(__always)
  func receive() {
    // Whose buffer is filled is told of it, also if it has itself replaced meanwhile. A nil that is known costs nothing.
    if let bufferedReceiver { receive(for: bufferedReceiver) } else { receive(for: nil) }
  }

  @inline(__always)
  private func receive(for receiver: (any BufferedProtocol)?) {
    switch fill(receiver, { (target) throws(Errno) in try own.receive(into: &target) }) {
    case .success(0): perform(state.peerEnded())
    case .success(let count): handOver(count, to: receiver)
    case .failure(.wouldBlock): perform(state.foundNothing())
    // This is how a terminal says that there is nobody at its other side any more.
    case .failure(.ioError) where own.kind == .characterDevice: perform(state.peerEnded())
    case .failure(let error): receivingFailed(IOError(error, own.calls.receive, name))
    case nil: break
    }
  }

  /// Has a call fill the protocol's own buffer where it brings one, else the loop's.
  ///
  /// - Returns: what the call answers; nil where the protocol has failed to lend its buffer.
  @inline(__always)
  func fill<Answer, Failure: Error>(
    _ receiver: (any BufferedProtocol)?, _ call: (inout MutableSpan<UInt8>) throws(Failure) -> Answer
  ) -> Result<Answer, Failure>? {
    guard let receiver else {
      do throws(Failure) { return .success(try memory.readBuffer.fill(call)) } catch { return .failure(error) }
    }
    var outcome: Result<Answer, Failure>?
    do {
      try receiver.withBuffer(sizeHint: EventLoop.readLimit) { target in
        guard target.count > 0 else { throw EventLoopError.emptyBuffer }
        do throws(Failure) { outcome = .success(try call(&target)) } catch { outcome = .failure(error) }
      }
      guard outcome != nil else { throw EventLoopError.emptyBuffer }
    } catch {
      protocolFailed("withBuffer", error)
      return nil
    }
    return outcome
  }

  /// Hands the protocol what was filled in, from the buffer's start.
  @inline(__always)
  func handOver(_ count: Int, to receiver: (any BufferedProtocol)?) {
    guard let receiver else {
      do { try memory.readBuffer.withPrefix(count) { try deliver($0) } } catch { protocolFailed("dataReceived", error) }
      return
    }
    do { try receiver.bufferUpdated(count) } catch { protocolFailed("bufferUpdated", error) }
  }
}
