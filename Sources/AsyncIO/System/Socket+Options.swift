// SPDX-License-Identifier: Apache-2.0
import Glibc
import SystemPackage

extension Socket {
  /// Reads an option.
  ///
  /// - Throws: ``IOError`` for `getsockopt`.
  public func option<Value>(_ option: SocketOption<Value>) throws(IOError) -> Value {
    try perform("getsockopt") { () throws(Errno) in
      Value(socketOption: try kernel.option(descriptor, level: option.level, name: option.name))
    }
  }

  /// Sets an option.
  ///
  /// - Throws: ``IOError`` for `setsockopt`.
  public func setOption<Value>(_ option: SocketOption<Value>, _ value: Value) throws(IOError) {
    try perform("setsockopt") { () throws(Errno) in
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
    var bytes = [UInt8](repeating: 0, count: max(0, maxBytes))
    let count = try perform("getsockopt") { () throws(Errno) in
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
    try perform("setsockopt") { () throws(Errno) in
      try kernel.setOption(descriptor, level: level, name: name, value.span)
    }
  }

  /// How long the kernel may go on sending after the socket was closed; nil when it takes its own time. `SO_LINGER`.
  ///
  /// - Throws: ``IOError`` for `getsockopt`.
  public func linger() throws(IOError) -> Duration? {
    let bytes = try option(level: SOL_SOCKET, name: SO_LINGER, maxBytes: 8)
    // Two numbers: whether, and how many seconds.
    let numbers = stride(from: 0, to: bytes.count, by: 4).map { start in
      bytes[start..<start + 4].enumerated().reduce(into: UInt32(0)) { $0 |= UInt32($1.element) << ($1.offset * 8) }
    }
    guard numbers.count == 2, numbers[0] != 0 else { return nil }
    return .seconds(numbers[1])
  }

  /// Sets how long the kernel may go on sending after the socket was closed. `SO_LINGER`.
  ///
  /// With zero, closing a connection resets it and drops what was not sent. With nil, as at first, the kernel goes on as
  /// long as it takes.
  ///
  /// - Parameter limit: the time, rounded up to seconds.
  /// - Throws: ``IOError`` for `setsockopt`.
  public func setLinger(_ limit: Duration?) throws(IOError) {
    let (seconds, rest) = (limit ?? .zero).components
    let rounded = Int32(clamping: max(0, rest > 0 ? seconds.addingReportingOverflow(1).partialValue : seconds))
    let numbers = [Int32(limit == nil ? 0 : 1), rounded]
    try setOption(
      level: SOL_SOCKET, name: SO_LINGER,
      numbers.flatMap { number in (0..<4).map { UInt8(truncatingIfNeeded: number >> ($0 * 8)) } })
  }
}
