// SPDX-License-Identifier: Apache-2.0

/// What every protocol is told of its transport. asyncio's `BaseProtocol`.
///
/// A protocol is an object of the program's own that a transport calls, always on the loop's thread. Every method has a
/// default that does nothing. An error that a method throws goes to the loop's exception handler; those of
/// ``pauseWriting()`` and ``resumeWriting()`` close nothing.
public protocol BaseProtocol: AnyObject {
  /// The transport is gone: called exactly once, after everything else. asyncio's `connection_lost`.
  ///
  /// - Parameter error: nil after an end of file or a close of our own; else why the connection broke, an ``IOError``
  ///   in the case of sockets.
  func connectionLost(_ error: (any Error)?) throws

  /// More is waiting to be sent than the high-water mark allows: stop writing. asyncio's `pause_writing`.
  ///
  /// It may come from inside `write`. It alternates with ``resumeWriting()``, which never comes before this has returned.
  func pauseWriting() throws

  /// What is waiting has shrunk to the low-water mark: go on writing. asyncio's `resume_writing`.
  func resumeWriting() throws
}

extension BaseProtocol {
  /// Does nothing.
  public func connectionLost(_ error: (any Error)?) {}
  /// Does nothing.
  public func pauseWriting() {}
  /// Does nothing.
  public func resumeWriting() {}
}

/// A protocol for a stream of bytes. asyncio's `Protocol`.
///
/// The order of calls: ``connectionMade(_:)`` once, ``dataReceived(_:)`` any number of times, ``eofReceived()`` at most
/// once, ``BaseProtocol/connectionLost(_:)`` once. After an error that one of the first three throws, the transport is
/// closed with that error.
public protocol StreamProtocol: BaseProtocol {
  /// The connection is there; before all else. Keep the transport to write to it. asyncio's `connection_made`.
  func connectionMade(_ transport: StreamTransport) throws

  /// Bytes have arrived, at least one. asyncio's `data_received`.
  ///
  /// The span is a view of the loop's own buffer, for the length of the call: copy what is to stay.
  func dataReceived(_ data: Span<UInt8>) throws

  /// The peer has ended its side. asyncio's `eof_received`.
  ///
  /// - Returns: true to keep the transport open for writing; false, the default, to close it.
  func eofReceived() throws -> Bool
}

extension StreamProtocol {
  /// Does nothing.
  public func connectionMade(_ transport: StreamTransport) {}
  /// Does nothing.
  public func dataReceived(_ data: Span<UInt8>) {}
  /// Lets the transport close.
  public func eofReceived() -> Bool { false }
}

/// A protocol for the reading end of a pipe. In asyncio, what `connect_read_pipe` takes.
///
/// The order of calls: ``connectionMade(_:)`` once, ``dataReceived(_:)`` any number of times, ``eofReceived()`` at most
/// once, ``BaseProtocol/connectionLost(_:)`` once. After an error that one of the first three throws, the transport is
/// closed with that error.
public protocol ReadPipeProtocol: BaseProtocol {
  /// The pipe is there; before all else. asyncio's `connection_made`.
  func connectionMade(_ transport: ReadPipeTransport) throws

  /// Bytes have arrived, at least one. asyncio's `data_received`.
  ///
  /// The span is a view of the loop's own buffer, for the length of the call: copy what is to stay.
  func dataReceived(_ data: Span<UInt8>) throws

  /// No more will come, since every writer is gone; the transport closes. asyncio's `eof_received`.
  func eofReceived() throws
}

extension ReadPipeProtocol {
  /// Does nothing.
  public func connectionMade(_ transport: ReadPipeTransport) {}
  /// Does nothing.
  public func dataReceived(_ data: Span<UInt8>) {}
  /// Does nothing.
  public func eofReceived() {}
}

/// A protocol for the writing end of a pipe. In asyncio, what `connect_write_pipe` takes.
///
/// After an error that ``connectionMade(_:)`` throws, the transport is closed with that error.
public protocol WritePipeProtocol: BaseProtocol {
  /// The pipe is there; before all else. Keep the transport to write to it. asyncio's `connection_made`.
  func connectionMade(_ transport: WritePipeTransport) throws
}

extension WritePipeProtocol {
  /// Does nothing.
  public func connectionMade(_ transport: WritePipeTransport) {}
}

/// A protocol for datagrams. asyncio's `DatagramProtocol`.
///
/// The order of calls: ``connectionMade(_:)`` once, the others any number of times,
/// ``BaseProtocol/connectionLost(_:)`` once. After an error that one of these methods throws, the transport is closed
/// with that error.
public protocol DatagramProtocol: BaseProtocol {
  /// The endpoint is there; before all else. Keep the transport to send by it. asyncio's `connection_made`.
  func connectionMade(_ transport: DatagramTransport) throws

  /// A datagram has arrived, maybe an empty one. asyncio's `datagram_received`.
  ///
  /// The span is a view of the loop's own buffer, for the length of the call: copy what is to stay.
  ///
  /// - Parameters:
  ///   - data: the datagram.
  ///   - sender: where it came from; unnamed for a unix socket that is bound to nothing.
  func datagramReceived(_ data: Span<UInt8>, from sender: SocketAddress) throws

  /// An ``IOError`` of sending or receiving, such as a peer's machine that refuses the port. The endpoint stays open.
  /// asyncio's `error_received`.
  ///
  /// It may come from inside `sendTo`.
  func errorReceived(_ error: any Error) throws
}

extension DatagramProtocol {
  /// Does nothing.
  public func connectionMade(_ transport: DatagramTransport) {}
  /// Does nothing.
  public func datagramReceived(_ data: Span<UInt8>, from sender: SocketAddress) {}
  /// Does nothing.
  public func errorReceived(_ error: any Error) {}
}

/// A protocol that brings the buffer for what arrives. asyncio's `BufferedProtocol`.
///
/// The transport reads straight into the buffer, without a copy: ``withBuffer(sizeHint:_:)``, then
/// ``bufferUpdated(_:)`` with the number of bytes that were filled in from the buffer's start.
public protocol BufferedProtocol: StreamProtocol {
  /// Lends the buffer for one read: call `body` once with where the bytes shall go. asyncio's `get_buffer`.
  ///
  /// With an array for a buffer: `try buffer.withMutableSpan(body)`. An empty one is an error that closes the transport. The hint tells how
  /// much may be there; a buffer of another size will do.
  func withBuffer(sizeHint: Int, _ body: (inout MutableSpan<UInt8>) throws -> Void) throws

  /// So many bytes, at least one, were put at the start of the buffer. asyncio's `buffer_updated`.
  func bufferUpdated(_ count: Int) throws
}

extension BufferedProtocol {
  /// Passes bytes that arrived elsewhere on through the buffer, in as many pieces as it takes.
  public func dataReceived(_ data: Span<UInt8>) throws {
    var start = 0
    while start < data.count {
      var copied = 0
      try withBuffer(sizeHint: data.count - start) { buffer in
        guard buffer.count > 0 else { throw EventLoopError.emptyBuffer }
        copied = buffer.copyPrefix(of: data.extracting(start...))
      }
      guard copied > 0 else { throw EventLoopError.emptyBuffer }
      try bufferUpdated(copied)
      start += copied
    }
  }
}

extension EventLoopError {
  static let emptyBuffer = EventLoopError(.invalidArgument, "withBuffer: a protocol's buffer must not be empty")
}
