// SPDX-License-Identifier: Apache-2.0
import SystemPackage

/// A descriptor that is ours to close: what it is on, what it is called, and the calls that work on it.
struct OwnedDescriptor {
  /// What is read, written and watched, non-blocking.
  let descriptor: FileDescriptor
  let kind: FileKind
  /// Whether it was handed over as a socket, which has calls of its own.
  let isSocket: Bool
  /// Whether its mode is borrowed: ``BorrowedBlockingMode`` has to give it back.
  private let isBorrowed: Bool
  /// Kept here rather than asked of the loop: one step away from who uses it, it is borrowed without a reference of its own.
  let kernel: any Kernel
  /// The socket, where the program may have it as well; that closes it.
  let socket: Socket?
  /// The peer's address, as `accept` or `connect` knew it: a broken connection cannot be asked any more.
  let remoteAddress: SocketAddress?
  /// What the program gave us, where `descriptor` is another one that stands for it; closed with it.
  private let original: FileDescriptor?

  /// A socket that was handed over.
  ///
  /// - Parameter isShared: whether somebody else has the object. Else it is not kept: an idle connection would pay for it.
  init(_ socket: Socket, _ kernel: any Kernel, isShared: Bool, remoteAddress: SocketAddress?) {
    (descriptor, kind, self.kernel, isSocket) = (socket.descriptor, .socket, kernel, true)
    self.socket = isShared ? socket : nil
    self.remoteAddress = remoteAddress
    (isBorrowed, original) = (false, nil)
  }

  /// A pipe, or what works like one.
  init(
    _ descriptor: FileDescriptor, _ kernel: any Kernel, _ kind: FileKind = .pipe, isBorrowed: Bool = false,
    original: FileDescriptor? = nil
  ) {
    (self.descriptor, self.kind, self.kernel, socket, isSocket) = (descriptor, kind, kernel, nil, false)
    remoteAddress = nil
    (self.isBorrowed, self.original) = (isBorrowed, original)
  }

  /// The descriptor that the program knows.
  var known: FileDescriptor { original ?? descriptor }

  /// The socket's own address.
  var localAddress: SocketAddress? { isSocket ? try? kernel.localAddress(descriptor) : nil }

  /// The peer's address, or the number that the program knows.
  var name: String { remoteAddress?.description ?? "\(kind == .pipe ? "pipe" : "descriptor") \(known.rawValue)" }

  /// Closes it, in the mode in which it came.
  func close() {
    if let socket { return socket.closeDescriptor() }
    if isBorrowed { BorrowedBlockingMode.giveBack(descriptor, kernel) }
    // The numbers are free whatever the answer is, and there is nobody to tell.
    try? kernel.close(descriptor)
    if let original { try? kernel.close(original) }
  }

  // MARK: Bytes

  /// The system calls by which bytes are sent and received, for errors: a socket that was handed over has its own.
  var calls: (send: String, receive: String) { isSocket ? ("send", "recv") : ("write", "read") }

  @inline(__always)
  func receive(into buffer: inout MutableSpan<UInt8>) throws(Errno) -> Int {
    // A socket is told not to wait: its mode may be another's business.
    kind == .socket ? try kernel.receive(descriptor, into: &buffer) : try kernel.read(descriptor, into: &buffer)
  }

  @inline(__always)
  func send(_ bytes: Span<UInt8>) throws(Errno) -> Int {
    kind == .socket ? try kernel.send(descriptor, bytes) : try kernel.write(descriptor, bytes)
  }

  /// Sends chunks, but for the first `skipping` bytes.
  func send(gathering chunks: [[UInt8]], skipping: Int) throws(Errno) -> Int {
    kind == .socket
      ? try kernel.send(descriptor, gathering: chunks, skipping: skipping)
      : try kernel.write(descriptor, gathering: chunks, skipping: skipping)
  }
}
