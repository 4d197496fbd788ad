// SPDX-License-Identifier: Apache-2.0

// What a connection can be asked, and how much of what is written may wait.

extension StreamTransport {
  public var isReading: Bool {
    loop.checkThread("StreamTransport.isReading")
    return state.isReading
  }

  public var isClosing: Bool {
    loop.checkThread("StreamTransport.isClosing")
    return state.isClosing
  }

  /// Whether ``writeEOF()`` is of use: not over TLS, which has no half-close.
  public var canWriteEOF: Bool {
    loop.checkThread("StreamTransport.canWriteEOF")
    return tls == nil
  }

  public var writeBufferSize: Int {
    loop.checkThread("StreamTransport.writeBufferSize")
    return buffer.count + buffer.encryptedCount
  }

  public var writeBufferLimits: (low: Int, high: Int) {
    loop.checkThread("StreamTransport.writeBufferLimits")
    return (buffer.low, buffer.high)
  }

  public func setWriteBufferLimits(high: Int? = nil, low: Int? = nil) {
    loop.checkThread("StreamTransport.setWriteBufferLimits")
    buffer.setLimits(high: high, low: low)
    tellFlow()
  }
}
