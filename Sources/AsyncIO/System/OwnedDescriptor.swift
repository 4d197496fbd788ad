// SPDX-License-Identifier: Apache-2.0
import SystemPackage

/// A descriptor that is ours to close: what it is on, what it is called, and the calls that work on it.
struct OwnedDescriptor {
  /// What it is called.
  private enum Identity {
    /// By the peer's address, as `accept` or `connect` knew it: a broken connection cannot be asked any more.
    case peer(SocketAddress)
    /// By the number that the program knows: the descriptor's, or that of one that it stands for.
    case number(FileDescriptor)
  }

  // In the order in which they take the least memory: every idle connection has them.

  /// Kept here rather than asked of the loop: one step away from who uses it, it is borrowed without a reference of its own.
  private let kernel: any Kernel
  private let identity: Identity
  let kind: FileKind
  /// Whether it was handed over as a socket, which has calls of its own.
  let isSocket: Bool
  /// Whether its mode is borrowed: ``BorrowedBlockingMode`` has to give it back.
  private let isBorrowed: Bool
  /// What is read, written and watched, non-blocking.
  let descriptor: FileDescriptor

  /// A socket that was handed over.
  init(_ socket: Socket, _ kernel: any Kernel, remoteAddress: SocketAddress?) {
    (descriptor, kind, self.kernel, isSocket) = (socket.descriptor, .socket, kernel, true)
    identity = remoteAddress.map { .peer($0) } ?? .number(socket.descriptor)
    isBorrowed = false
  }

  /// A pipe, or what works like one.
  ///
  /// - Parameter known: what the program knows, where `descriptor` is another one that stands for it; closed with it.
  init(
    _ descriptor: FileDescriptor, _ kernel: any Kernel, _ kind: FileKind = .pipe, isBorrowed: Bool = false,
    known: FileDescriptor? = nil
  ) {
    (self.descriptor, self.kind, self.kernel, isSocket) = (descriptor, kind, kernel, false)
    identity = .number(known ?? descriptor)
    self.isBorrowed = isBorrowed
  }

  /// The peer's address; nil where there is none.
  var remoteAddress: SocketAddress? { if case .peer(let address) = identity { address } else { nil } }

  /// The descriptor that the program knows.
  var known: FileDescriptor { if case .number(let number) = identity { number } else { descriptor } }

  /// The socket's own address.
  var localAddress: SocketAddress? { isSocket ? try? kernel.localAddress(descriptor) : nil }

  /// For errors and logs.
  var name: String {
    switch identity {
    case .peer(let address): address.description
    case .number(let number): "\(kind == .pipe ? "pipe" : "descriptor") \(number.rawValue)"
    }
  }

  /// Closes it, in the mode in which it came.
  func close() {
    if isBorrowed { BorrowedBlockingMode.giveBack(descriptor, kernel) }
    // The numbers are free whatever the answer is, and there is nobody to tell.
    try? kernel.close(descriptor)
    if known != descriptor { try? kernel.close(known) }
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
