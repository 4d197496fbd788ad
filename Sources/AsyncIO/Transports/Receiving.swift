// SPDX-License-Identifier: Apache-2.0
import SystemPackage

// How bytes come in, by connections and by pipes.

extension ReadTransport where Self: DescriptorTransport {
  public var isReading: Bool {
    check("isReading")
    return state.isReading
  }

  public func pauseReading() {
    check("pauseReading")
    state.pauseReading()
    settle()
  }

  public func resumeReading() {
    check("resumeReading")
    state.resumeReading()
    readingWasResumed()
    settle()
  }
}

/// A transport that hands a stream of bytes to its protocol.
protocol ByteReceiving: DescriptorTransport {
  func deliver(_ bytes: Span<UInt8>) throws
  /// A receive has brought nothing, be it that there is nothing now.
  func receivingFailed(_ error: Errno)
  func receiveEnd()
}

extension ByteReceiving {
  /// Receives once: what is left is for the next tick.
  @inline(__always)
  func receive() {
    let buffer = memory.readBuffer
    let count: Int
    do throws(Errno) {
      count = try buffer.fill { (target) throws(Errno) in try receive(into: &target) }
    } catch {
      return receivingFailed(error)
    }
    if count == 0 { return receiveEnd() }
    do { try buffer.withPrefix(count) { try deliver($0) } } catch { protocolFailed("dataReceived", error) }
  }
}

extension DescriptorTransport {
  /// What has arrived. A socket is told not to wait: its mode may be another's business.
  @inline(__always)
  final func receive(into buffer: inout MutableSpan<UInt8>) throws(Errno) -> Int {
    kind == .socket
      ? try loop.kernel.receive(descriptor, into: &buffer) : try loop.kernel.read(descriptor, into: &buffer)
  }
}
