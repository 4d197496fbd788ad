// SPDX-License-Identifier: Apache-2.0
public import SystemPackage

/// A socket: a descriptor with one owner. asyncio's `socket.socket`.
///
/// Sockets that it makes are non-blocking. It belongs to whoever made it until it is handed to a transport or a
/// server, which then close it; the object stays good for looking at addresses and options. A socket that is dropped
/// while it is the caller's own is closed; ``init(borrowing:)`` is for a descriptor that shall outlive it, and
/// ``detach()`` gives the descriptor back.
///
/// A task that waits for a socket is told when somebody closes, detaches or hands over the socket meanwhile: its call
/// throws ``IOError`` with code `ECANCELED`.
///
/// Not sendable: like everything that a loop works with, it stays on one thread.
public final class Socket {
  /// The descriptor; it must not be closed behind the socket's back.
  public let descriptor: FileDescriptor
  let kernel: any Kernel

  private enum Owner {
    /// Whoever holds this object, the last of whom closes the descriptor.
    case holder
    /// Somebody else, who lent it.
    case lender
    /// A transport or a server.
    case transport
    /// It is closed, or given back.
    case nobody
  }
  /// Whether it is known to be non-blocking; nil as long as nobody has asked.
  private var knownNonBlocking: Bool?
  /// Who will close the descriptor.
  private var owner: Owner
  /// The waits for the descriptor, at most one in each direction, and some that have ended meanwhile.
  private var waits: [(waiter: Waiter, method: StaticString)] = []

  private init(_ descriptor: FileDescriptor, _ owner: Owner, _ kernel: any Kernel) {
    self.descriptor = descriptor
    self.owner = owner
    self.kernel = kernel
  }

  /// What a program may look at of a transport's.
  convenience init(ofTransport descriptor: FileDescriptor, isOpen: Bool, _ kernel: any Kernel) {
    self.init(descriptor, isOpen ? .transport : .nobody, kernel)
  }

  package convenience init(adopting descriptor: FileDescriptor, kernel: any Kernel) {
    self.init(descriptor, .holder, kernel)
  }

  package convenience init(borrowing descriptor: FileDescriptor, kernel: any Kernel) {
    self.init(descriptor, .lender, kernel)
  }

  /// Takes over a descriptor that was opened elsewhere, as it is: the socket closes it. asyncio's
  /// `socket.socket(fileno:)`.
  public convenience init(adopting descriptor: FileDescriptor) {
    self.init(adopting: descriptor, kernel: platformKernel)
  }

  /// Uses a descriptor that somebody else owns, as it is, and never closes it.
  ///
  /// The owner keeps it open for as long as the socket is used. Transports and servers close what they are given, so they
  /// refuse such a socket: adopt a duplicate for them.
  public convenience init(borrowing descriptor: FileDescriptor) {
    self.init(borrowing: descriptor, kernel: platformKernel)
  }

  /// Makes a non-blocking socket.
  ///
  /// - Throws: ``IOError`` for `socket`.
  public convenience init(
    _ family: AddressFamily, _ kind: SocketKind = .stream, transportProtocol: Int32 = 0
  ) throws(IOError) {
    try self.init(family, kind, transportProtocol: transportProtocol, kernel: platformKernel)
  }

  package convenience init(
    _ family: AddressFamily, _ kind: SocketKind, transportProtocol: Int32, kernel: any Kernel
  ) throws(IOError) {
    do throws(Errno) {
      self.init(adopting: try kernel.makeSocket(family, kind, transportProtocol), kernel: kernel)
    } catch {
      throw IOError(error, "socket")
    }
  }

  /// Makes two sockets that are connected to each other. asyncio's `socket.socketpair`.
  ///
  /// - Throws: ``IOError`` for `socketpair`.
  public static func pair(_ kind: SocketKind = .stream) throws(IOError) -> (Socket, Socket) {
    do throws(Errno) {
      let (first, second) = try platformKernel.makeSocketPair(kind)
      return (Socket(adopting: first), Socket(adopting: second))
    } catch {
      throw IOError(error, "socketpair")
    }
  }

  deinit {
    if owner == .holder { try? kernel.close(descriptor) }
  }

  /// Closes the socket; a borrowed descriptor stays open, and is only not used any more. Further calls do nothing.
  ///
  /// A socket that was handed to a transport or server is closed by that one; to close it here is a programmer error.
  public func close() {
    require(owner != .transport, "Socket.close(): the socket belongs to a transport or server; close that instead")
    closeDescriptor()
  }

  /// Gives the descriptor back, open, to be closed by the caller. asyncio's `socket.detach`.
  ///
  /// The socket counts as closed from here on.
  ///
  /// - Throws: ``IOError`` `EBADF` for a socket that is closed, or belongs to a transport or server.
  public func detach() throws(IOError) -> FileDescriptor {
    guard owner == .holder || owner == .lender else {
      throw IOError(.badFileDescriptor, "detach", "a socket that is closed or in use")
    }
    owner = .nobody
    endWaits()
    return descriptor
  }

  /// Whether it was closed, or its descriptor given back.
  public var isClosed: Bool { owner == .nobody }

  /// Whether a transport or server has it.
  var isHandedOver: Bool { owner == .transport }

  /// Whether somebody else closes its descriptor, and may change its mode.
  var isBorrowed: Bool { owner == .lender }

  /// Closes it for whoever owns it.
  func closeDescriptor() {
    guard owner != .nobody else { return }
    let closes = owner != .lender
    owner = .nobody
    // Before the number is free: the poller has to forget it.
    endWaits()
    // The number is free whatever the answer is, and there is nobody to tell.
    if closes { try? kernel.close(descriptor) }
  }

  /// Hands the descriptor to a transport or server.
  func handOver(_ operation: String) throws(IOError) {
    guard owner == .holder else {
      throw IOError(.badFileDescriptor, operation, "a socket that is closed, borrowed or in use")
    }
    owner = .transport
    endWaits()
  }

  /// Hands the descriptor back to the caller, after a hand-over that came to nothing.
  func handBack() {
    if owner == .transport { owner = .holder }
  }
}

/// Waiting for the descriptor to become ready. The loops do that; the socket tells those who wait that it is gone.
extension Socket {
  /// Has the waiter woken, with an error, once nobody can wait for the descriptor any more.
  func addWait(_ waiter: Waiter, _ method: StaticString) {
    waits.removeAll { !$0.waiter.isSuspended }
    waits.append((waiter, method))
  }

  /// Throws when the socket is not the program's any more: what was waited for belongs to somebody else.
  func checkAfterWait(_ method: StaticString) throws(IOError) {
    if isClosed || isHandedOver { throw interruption(of: method) }
  }

  private func endWaits() {
    let ended = waits
    waits.removeAll()
    for wait in ended { wait.waiter.end(interruption(of: wait.method)) }
  }

  private func interruption(of method: StaticString) -> IOError {
    let event = isHandedOver ? "handed to a transport or server" : "closed or detached"
    return IOError(.canceled, "\(method)", "\(name) (the socket was \(event) while the call waited)")
  }
}

extension Socket {
  /// The address that it is bound to; nil when the query fails, as on a closed socket.
  public var localAddress: SocketAddress? { isClosed ? nil : try? kernel.localAddress(descriptor) }

  /// The peer's address; nil when it has none.
  public var remoteAddress: SocketAddress? { isClosed ? nil : try? kernel.remoteAddress(descriptor) }

  /// The family of its addresses; nil when the descriptor is no socket.
  public var family: AddressFamily? { (try? option(.family)).map(AddressFamily.init) }

  /// What it carries; nil when the descriptor is no socket.
  public var kind: SocketKind? { (try? option(.kind)).map(SocketKind.init) }

  /// Binds it to a local address.
  ///
  /// - Throws: ``IOError`` for `bind`, with the address.
  public func bind(to address: SocketAddress) throws(IOError) {
    try call("bind", address.description) { () throws(Errno) in try kernel.bind(descriptor, to: address) }
  }

  /// Starts to listen.
  ///
  /// - Parameter backlog: how many connections may wait for `accept`; the system has a limit of its own.
  /// - Throws: ``IOError`` for `listen`.
  public func listen(backlog: Int = 100) throws(IOError) {
    let subject = localAddress?.description ?? name
    guard backlog >= 0 else {
      throw IOError(.invalidArgument, "listen", "\(subject) (the backlog is \(backlog))")
    }
    let limit = Int32(clamping: backlog)
    try call("listen", subject) { () throws(Errno) in try kernel.listen(descriptor, backlog: limit) }
  }

  /// Begins to connect. On a non-blocking socket it rarely ends here: ``IOError/code`` `EINPROGRESS` says so.
  ///
  /// - Throws: ``IOError`` for `connect`, with the address.
  public func connect(to address: SocketAddress) throws(IOError) {
    try call("connect", address.description) { () throws(Errno) in try kernel.connect(descriptor, to: address) }
  }

  /// Reads what is there, once.
  ///
  /// - Returns: at most `maxBytes` bytes; none at the end of the stream, or when none were asked for.
  /// - Throws: ``IOError`` for `recv`, with code `EAGAIN` when there is nothing yet, `EINVAL` for a negative number or
  ///   one beyond what the kernel moves at once (2 GiB).
  public func receive(maxBytes: Int) throws(IOError) -> [UInt8] {
    var bytes = try memory(maxBytes, "recv")
    let count = try receive(into: &bytes)
    bytes.removeSubrange(count...)
    return bytes
  }

  /// Reads what is there, once, into a buffer of the caller's.
  ///
  /// - Returns: how many bytes; none at the end of the stream.
  /// - Throws: as ``receive(maxBytes:)``.
  public func receive(into buffer: inout [UInt8]) throws(IOError) -> Int {
    try call("recv") { () throws(Errno) in
      try blocking(.read) { () throws(Errno) in
        var span = buffer.mutableSpan
        return try kernel.receive(descriptor, into: &span)
      }
    }
  }

  /// The most that one call of the kernel moves.
  private static let transferLimit = 0x7fff_f000

  /// Memory for what is received; a number of bytes that makes no sense is an error.
  func memory(_ maxBytes: Int, _ operation: String) throws(IOError) -> [UInt8] {
    guard (0...Socket.transferLimit).contains(maxBytes) else {
      throw IOError(.invalidArgument, operation, "\(name) (maxBytes is \(maxBytes))")
    }
    return [UInt8](repeating: 0, count: maxBytes)
  }

  /// Receives one datagram, as far as it fits, and its sender.
  func receiveDatagram(into buffer: inout [UInt8]) throws(IOError) -> (count: Int, sender: SocketAddress) {
    try call("recvfrom") { () throws(Errno) in
      try blocking(.read) { () throws(Errno) in
        var span = buffer.mutableSpan
        return try kernel.receiveFrom(descriptor, into: &span)
      }
    }
  }

  /// Sends a datagram, whole or not at all.
  func send(datagram: [UInt8], to address: SocketAddress) throws(IOError) {
    try call("sendto", address.description) { () throws(Errno) in
      try blocking(.write) { () throws(Errno) in try kernel.send(descriptor, datagram.span, to: address) }
    }
  }

  /// Accepts a connection, once.
  ///
  /// - Returns: the connection, non-blocking, and the peer's address.
  /// - Throws: ``IOError`` for `accept`, with code `EAGAIN` when there is none.
  public func accept() throws(IOError) -> (connection: Socket, address: SocketAddress?) {
    try call("accept") { () throws(Errno) in
      let (accepted, address) = try kernel.accept(descriptor)
      let connection = Socket(adopting: accepted, kernel: kernel)
      connection.knownNonBlocking = true
      return (connection, address)
    }
  }

  /// Sends what the kernel takes, once.
  ///
  /// - Returns: how many bytes it took.
  /// - Throws: ``IOError`` for `send`, with code `EAGAIN` when it takes none now.
  @discardableResult
  public func send(_ bytes: [UInt8]) throws(IOError) -> Int { try send(bytes.span) }

  /// Sends what the kernel takes, once.
  ///
  /// - Returns: how many bytes it took.
  /// - Throws: as ``send(_:)-([UInt8])``.
  public func send(_ bytes: Span<UInt8>) throws(IOError) -> Int {
    // Spelled out, since a span cannot go into a closure.
    guard !isClosed else { throw IOError(.badFileDescriptor, "send", name) }
    do throws(Errno) {
      while true {
        do throws(Errno) {
          return try kernel.send(descriptor, bytes)
        } catch {
          try waitIfBlocking(.write, after: error)
        }
      }
    } catch {
      throw IOError(error, "send", name)
    }
  }

  private var name: String { "descriptor \(descriptor.rawValue)" }

  /// Whether its calls return at once.
  ///
  /// - Throws: ``IOError`` for `fcntl`.
  public var isNonBlocking: Bool {
    get throws(IOError) { try call("fcntl") { () throws(Errno) in try kernel.isNonBlocking(descriptor) } }
  }

  /// Makes its calls return at once, or block.
  ///
  /// - Throws: ``IOError`` for `fcntl`.
  public func setNonBlocking(_ nonBlocking: Bool) throws(IOError) {
    try call("fcntl") { () throws(Errno) in try kernel.setNonBlocking(descriptor, nonBlocking) }
    knownNonBlocking = nonBlocking
  }

  /// Whether its calls would block. The kernel is asked once, or each time where others may change it.
  func isKnownToBlock(asksKernel: Bool) throws(IOError) -> Bool {
    if let knownNonBlocking, !asksKernel, !isBorrowed { return !knownNonBlocking }
    let answer = try isNonBlocking
    knownNonBlocking = answer
    return !answer
  }

  /// Runs a call on the descriptor, unless that is closed: its number may be someone else's by now.
  func call<Answer>(
    _ operation: String, _ subject: String? = nil, _ call: () throws(Errno) -> Answer
  ) throws(IOError) -> Answer {
    guard !isClosed else { throw IOError(.badFileDescriptor, operation, subject ?? name) }
    do throws(Errno) {
      return try call()
    } catch {
      throw IOError(error, operation, subject ?? name)
    }
  }
}
