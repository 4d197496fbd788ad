// SPDX-License-Identifier: Apache-2.0
import CAsyncIO
import SystemPackage

extension Socket {
  /// Reads an option.
  ///
  /// - Throws: ``IOError`` for `getsockopt`.
  public func option<Value>(_ option: SocketOption<Value>) throws(IOError) -> Value {
    try call("getsockopt") { () throws(Errno) in
      Value(socketOption: try kernel.option(descriptor, level: option.level, name: option.name))
    }
  }

  /// Sets an option.
  ///
  /// - Throws: ``IOError`` for `setsockopt`.
  public func setOption<Value>(_ option: SocketOption<Value>, _ value: Value) throws(IOError) {
    try call("setsockopt") { () throws(Errno) in
      try kernel.setOption(descriptor, level: option.level, name: option.name, value.socketOption)
    }
  }

  /// Reads an option whose value is no number, as the bytes that the platform has for it.
  ///
  /// - Parameters:
  ///   - level: the platform's number of the protocol level, such as `SOL_SOCKET`.
  ///   - name: the platform's number of the option, such as `SO_BINDTODEVICE`.
  ///   - maxBytes: how long the value may be. Of a longer one most options tell the beginning.
  /// - Throws: ``IOError`` for `getsockopt`.
  public func option(level: Int32, name: Int32, maxBytes: Int) throws(IOError) -> [UInt8] {
    guard maxBytes >= 0 else {
      throw IOError(.invalidArgument, "getsockopt", "descriptor \(descriptor.rawValue) (maxBytes is \(maxBytes))")
    }
    // No option is longer.
    var bytes = [UInt8](repeating: 0, count: min(maxBytes, 1024 * 1024))
    let count = try call("getsockopt") { () throws(Errno) in
      var span = bytes.mutableSpan
      return try kernel.option(descriptor, level: level, name: name, into: &span)
    }
    return Array(bytes.prefix(count))
  }

  /// Sets an option whose value is no number, to the bytes that the platform has for it.
  ///
  /// - Parameters:
  ///   - level: the platform's number of the protocol level, such as `SOL_SOCKET`.
  ///   - name: the platform's number of the option, such as `SO_BINDTODEVICE`.
  ///   - value: the value, laid out as the platform's C type is.
  /// - Throws: ``IOError`` for `setsockopt`.
  public func setOption(level: Int32, name: Int32, _ value: [UInt8]) throws(IOError) {
    try call("setsockopt") { () throws(Errno) in
      try kernel.setOption(descriptor, level: level, name: name, value.span)
    }
  }

  /// How long the kernel may go on sending after the socket was closed; nil when it takes its own time. `SO_LINGER`.
  ///
  /// - Throws: ``IOError`` for `getsockopt`.
  public func linger() throws(IOError) -> Duration? {
    var setting = CAsyncIO.linger()
    let bytes = try option(level: SOL_SOCKET, name: SO_LINGER, maxBytes: MemoryLayout.size(ofValue: setting))
    // Any bytes are a value of the C type, and there are not more than it has room for.
    unsafe withUnsafeMutableBytes(of: &setting) { unsafe $0.copyBytes(from: bytes) }
    return setting.l_onoff == 0 ? nil : .seconds(setting.l_linger)
  }

  /// Sets how long the kernel may go on sending after the socket was closed. `SO_LINGER`.
  ///
  /// With zero, closing a connection resets it and drops what was not sent. With nil, as at first, the kernel goes on as
  /// long as it takes.
  ///
  /// - Parameter limit: the time, rounded up to seconds.
  /// - Throws: ``IOError`` for `setsockopt`, `EINVAL` for a time below zero.
  public func setLinger(_ limit: Duration?) throws(IOError) {
    let (seconds, rest) = (limit ?? .zero).components
    guard seconds >= 0, rest >= 0 else {
      // Taken for zero, it would reset the connection.
      throw IOError(
        .invalidArgument, "setsockopt", "descriptor \(descriptor.rawValue) (a linger of \(seconds) seconds)")
    }
    let rounded = Int32(
      clamping: rest > 0 ? seconds.addingReportingOverflow(1).partialValue.magnitude : seconds.magnitude)
    let setting = CAsyncIO.linger(l_onoff: limit == nil ? 0 : 1, l_linger: rounded)
    // The C type has no padding.
    try setOption(level: SOL_SOCKET, name: SO_LINGER, unsafe withUnsafeBytes(of: setting) { unsafe Array($0) })
  }
}
