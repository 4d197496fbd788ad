// SPDX-License-Identifier: Apache-2.0
public import AsyncIO
import SystemPackage

/// The other end of a connection, which does what a test says: the word for word of a protocol, and what no proper program does.
///
/// It is a socket without a buffer of its own: what it sends goes out as it is, in the pieces in which it is sent, and it reads no
/// further than it has to. Get one from ``AsyncIO/EventLoop/connectPeer(host:port:)``,
/// ``AsyncIO/EventLoop/servePeers(host:port:file:line:_:)`` or ``AsyncIO/EventLoop/makePeer()``. It belongs to its loop's thread.
public final class Peer {
  private let loop: EventLoop
  private let socket: Socket
  /// How many bytes were expected and have come, for errors.
  private var position = 0

  init(_ loop: EventLoop, _ socket: Socket) {
    self.loop = loop
    self.socket = socket
  }

  // MARK: What it sends

  /// Sends bytes: a string, or an array.
  ///
  /// - Throws: `IOError`; `CancellationError`.
  public func send(_ bytes: any SystemText) async throws {
    try await loop.sockSendAll(socket, bytes.systemBytes)
  }

  /// Sends bytes in pieces, each so long after the one before.
  ///
  /// - Parameters:
  ///   - bytes: a string, or an array.
  ///   - size: how many bytes a piece has, at least one.
  ///   - delay: how long it waits before each piece but the first.
  /// - Throws: `IOError`; `CancellationError`.
  public func send(_ bytes: any SystemText, inPiecesOf size: Int, every delay: Duration = .zero) async throws {
    require(size > 0, "Peer.send: a piece has at least one byte")
    let bytes = bytes.systemBytes
    for start in stride(from: 0, to: bytes.count, by: size) {
      if start > 0 { try await loop.sleep(for: delay) }
      try await send(Array(bytes[start..<min(start + size, bytes.count)]))
    }
  }

  /// Ends its side: it sends no more, and may receive. A socket's `shutdown`.
  ///
  /// - Throws: `IOError`.
  public func endSending() throws(IOError) {
    do throws(Errno) { try loop.kernel.shutdownWrite(socket.descriptor) } catch {
      throw IOError(error, "shutdown", "the peer's socket")
    }
  }

  // MARK: What it expects

  /// Waits for just these bytes: a string, or an array. What comes behind them is left for the next call.
  ///
  /// - Throws: ``PeerError`` as soon as something else comes, or the end; `IOError`; `CancellationError`.
  public func expect(_ bytes: any SystemText) async throws {
    let expected = bytes.systemBytes
    var got: [UInt8] = []
    while got.count < expected.count {
      let chunk = try await loop.sockRecv(socket, expected.count - got.count)
      if chunk.isEmpty { throw PeerError(expected, got, position, isEnd: true) }
      got += chunk
      guard expected.starts(with: got) else { throw PeerError(expected, got, position, isEnd: false) }
    }
    position += expected.count
  }

  /// Waits for the other end's end.
  ///
  /// - Throws: ``PeerError`` when bytes come; `IOError`; `CancellationError`.
  public func expectEnd() async throws {
    let chunk = try await loop.sockRecv(socket, 1024)
    if !chunk.isEmpty { throw PeerError([], chunk, position, isEnd: false) }
  }

  /// What comes, whatever it is.
  ///
  /// - Parameter maxBytes: how much at the most.
  /// - Returns: at least one byte; none at the end.
  /// - Throws: `IOError`; `CancellationError`.
  public func receive(maxBytes: Int = 65_536) async throws -> [UInt8] {
    let chunk = try await loop.sockRecv(socket, maxBytes)
    position += chunk.count
    return chunk
  }

  // MARK: Its end

  /// Closes the connection. Further calls do nothing.
  public func close() { socket.close() }

  /// Closes the connection in a way that the other end takes for a failure: `ECONNRESET`.
  public func reset() {
    try? socket.setLinger(.zero)
    socket.close()
  }
}

/// Something else came than a ``Peer`` had expected.
public struct PeerError: Error, Hashable, Sendable, CustomStringConvertible {
  /// What was expected; nothing where that was the end.
  public let expected: [UInt8]
  /// What came in its place.
  public let received: [UInt8]
  /// Whether the end came behind that.
  public let isEnd: Bool
  /// How many bytes had been as expected before.
  public let position: Int

  init(_ expected: [UInt8], _ received: [UInt8], _ position: Int, isEnd: Bool) {
    self.expected = expected
    self.received = received
    self.isEnd = isEnd
    self.position = position
  }

  /// What was expected, what came, and from where on they differ.
  public var description: String {
    let common = zip(expected, received).prefix { $0 == $1 }.count
    let wanted = expected.isEmpty ? "the end" : "\"\(expected.printable())\""
    let came = received.isEmpty ? "the end" : "\"\(received.printable())\"" + (isEnd ? " and the end" : "")
    return "the peer expected \(wanted), and got \(came), which differs at byte \(position + common)"
  }
}
