// SPDX-License-Identifier: Apache-2.0
public import SystemPackage

/// What all transports have in common. asyncio's `BaseTransport`.
public protocol BaseTransport: AnyObject {
  /// Whether it is closing or closed. asyncio's `is_closing`.
  var isClosing: Bool { get }

  /// Closes it: reading ends now, what is buffered is sent, then `connectionLost(nil)` is called. asyncio's `close`.
  ///
  /// What is written before the last buffered byte is out, in `resumeWriting` for instance, is sent too.
  func close()
}

extension BaseTransport {
  /// A piece of information about the transport; nil when there is none. asyncio's `get_extra_info`.
  ///
  /// What there was stays available after the end, also that of the loop: a program wants to know of whom it
  /// was. Only ``ExtraInfoKey/tls`` goes with the connection, since nobody else keeps certificates.
  public func getExtraInfo<Value>(_ key: ExtraInfoKey<Value>) -> Value? { key.read(self) }

  /// A piece of information about the transport, or the default. asyncio's `get_extra_info`.
  public func getExtraInfo<Value>(_ key: ExtraInfoKey<Value>, default: Value) -> Value { key.read(self) ?? `default` }
}

/// A transport that delivers data. asyncio's `ReadTransport`.
public protocol ReadTransport: BaseTransport {
  /// Whether data is delivered: not while reading is paused, nor after the end. asyncio's `is_reading`.
  var isReading: Bool { get }

  /// Stops delivery at once, until ``resumeReading()``. Pausing twice does nothing. asyncio's `pause_reading`.
  func pauseReading()

  /// Goes on with delivery. asyncio's `resume_reading`.
  func resumeReading()
}

/// A transport that sends: what cannot go out at once waits, and that may become too much. asyncio's flow control.
public protocol SendingTransport: BaseTransport {
  /// Closes it at once: what is buffered is dropped, `connectionLost` is called soon. asyncio's `abort`.
  ///
  /// - Parameter error: what `connectionLost` is told: why a layer above the transport gives the connection up.
  func abort(_ error: (any Error)?)

  /// How many bytes are buffered. asyncio's `get_write_buffer_size`.
  ///
  /// Each datagram counts for eight beyond its own.
  var writeBufferSize: Int { get }

  /// The water marks in bytes. asyncio's `get_write_buffer_limits`.
  var writeBufferLimits: (low: Int, high: Int) { get }

  /// Sets the water marks, in bytes: the protocol is told to pause when more than `high` are buffered, and to go on
  /// when `low` or fewer are. asyncio's `set_write_buffer_limits`.
  ///
  /// - Parameters:
  ///   - high: by default four times `low`; without that, 64 KiB.
  ///   - low: by default a quarter of `high`. It must not be negative or above `high`.
  func setWriteBufferLimits(high: Int?, low: Int?)
}

extension SendingTransport {
  /// Closes it at once: what is buffered is dropped, `connectionLost(nil)` is called soon. asyncio's `abort`.
  public func abort() { abort(nil) }
}

/// A transport that takes data. asyncio's `WriteTransport`.
public protocol WriteTransport: SendingTransport {
  /// Sends bytes, or buffers what the kernel does not take now. Never blocks, never throws: a failure comes as
  /// `connectionLost`. asyncio's `write`.
  ///
  /// After the connection's end, or after `close()` once everything was sent, bytes are dropped.
  func write(_ bytes: Span<UInt8>)
  /// Sends several chunks, by one system call if the kernel takes them. asyncio's `writelines`.
  func writeLines(_ lines: [[UInt8]])

  /// Whether ``writeEOF()`` is of use. asyncio's `can_write_eof`.
  var canWriteEOF: Bool { get }

  /// Ends the write side once everything is sent; reading goes on. asyncio's `write_eof`.
  func writeEOF()
}

extension WriteTransport {
  /// Sends bytes, or buffers what the kernel does not take now. asyncio's `write`.
  public func write(_ bytes: [UInt8]) { write(bytes.span) }

  /// Sends a string's UTF-8 bytes, or buffers what the kernel does not take now. asyncio's `write`.
  public func write(_ text: String) { write(text.utf8Span.span) }
}

/// A piece of information about a transport, by the type of its value. asyncio's names for `get_extra_info`.
public struct ExtraInfoKey<Value> {
  let read: (any BaseTransport) -> Value?

  /// Asks transports on sockets; others have no answer.
  fileprivate init(ofSocket read: @escaping (any SocketTransport & DescriptorTransport) -> Value?) {
    self.read = { ($0 as? any SocketTransport & DescriptorTransport).flatMap(read) }
  }

  /// Asks connections; others have no answer.
  init(ofStream read: @escaping (StreamTransport) -> Value?) {
    self.read = { ($0 as? StreamTransport).flatMap(read) }
  }

  fileprivate init(ofPipe read: @escaping (any PipeTransport) -> Value?) {
    self.read = { ($0 as? any PipeTransport).flatMap(read) }
  }
}

/// A transport on a socket.
public protocol SocketTransport: BaseTransport {
  /// The transport's own address; nil where there is none.
  var localAddress: SocketAddress? { get }
  /// The peer's address; nil where there is none, as on an endpoint that is open to all.
  var remoteAddress: SocketAddress? { get }
}

extension SocketTransport where Self: DescriptorTransport {
  public var localAddress: SocketAddress? {
    check("localAddress")
    return findLocalAddress()
  }

  public var remoteAddress: SocketAddress? { own.remoteAddress }

  var socket: Socket {
    guard let socket = findSocket() else { misuse("a pipe's transport was asked for its socket") }
    return socket
  }
}

extension ExtraInfoKey where Value == Socket {
  /// The transport's socket, to look at and to set options on. It stays the transport's.
  public static var socket: Self { Self(ofSocket: { $0.socket }) }
}

extension ExtraInfoKey where Value == SocketAddress {
  /// The transport's own address.
  public static var sockname: Self { Self(ofSocket: { $0.localAddress }) }
  /// The peer's address.
  public static var peername: Self { Self(ofSocket: { $0.remoteAddress }) }
}

/// A transport on a pipe, as ``ExtraInfoKey`` sees it.
protocol PipeTransport: BaseTransport {
  /// What the program gave us, or what we made.
  var pipeDescriptor: FileDescriptor { get }
}

extension PipeTransport where Self: DescriptorTransport {
  var pipeDescriptor: FileDescriptor { own.known }
}

extension ExtraInfoKey where Value == FileDescriptor {
  /// The pipe transport's descriptor, to look at. It stays the transport's, and is a closed one's number after the end.
  public static var pipe: Self { Self(ofPipe: { $0.pipeDescriptor }) }
}
