// SPDX-License-Identifier: Apache-2.0
import SystemPackage

/// What a transport stands on: what it is called, and how it is given up.
enum TransportEndpoint {
  case socket(SocketEnd)
  case pipe(PipeEnd)

  struct SocketEnd {
    let socket: Socket
    /// The peer's address, as `accept` or `connect` knew it: a broken connection cannot be asked any more.
    let remoteAddress: SocketAddress?
  }

  struct PipeEnd {
    /// What is read or written, non-blocking.
    let descriptor: FileDescriptor
    let kind: FileKind
    /// Whether its mode is borrowed: ``BorrowedBlockingMode`` has to give it back.
    let isBorrowed: Bool
    /// What the program gave us, where `descriptor` is another one that stands for it; closed with it.
    let original: FileDescriptor?

    init(
      _ descriptor: FileDescriptor, _ kind: FileKind = .pipe, isBorrowed: Bool = false, original: FileDescriptor? = nil
    ) {
      self.descriptor = descriptor
      self.kind = kind
      self.isBorrowed = isBorrowed
      self.original = original
    }
  }

  /// What is watched.
  var descriptor: FileDescriptor {
    switch self {
    case .socket(let end): end.socket.descriptor
    case .pipe(let end): end.descriptor
    }
  }

  var kind: FileKind {
    switch self {
    case .socket: .socket
    case .pipe(let end): end.kind
    }
  }

  /// The peer's address, or the number that the program knows.
  var name: String {
    switch self {
    case .socket(let end): end.remoteAddress?.description ?? "descriptor \(end.socket.descriptor.rawValue)"
    case .pipe(let end): "\(end.kind == .pipe ? "pipe" : "descriptor") \(number.rawValue)"
    }
  }

  /// The descriptor that the program knows.
  var number: FileDescriptor {
    if case .pipe(let end) = self, let original = end.original { return original }
    return descriptor
  }

  /// The system calls by which it sends and receives, for errors.
  var calls: (send: StaticString, receive: StaticString) {
    switch self {
    case .socket: ("send", "recv")
    case .pipe: ("write", "read")
    }
  }

  var socketEnd: SocketEnd {
    guard case .socket(let end) = self else { misuse("a pipe's transport was asked for its socket") }
    return end
  }

  /// Closes it, in the mode in which it came.
  func close(_ kernel: any Kernel) {
    switch self {
    case .socket(let end):
      end.socket.closeDescriptor()
    case .pipe(let end):
      if end.isBorrowed { BorrowedBlockingMode.giveBack(end.descriptor, kernel) }
      // The numbers are free whatever the answer is, and there is nobody to tell.
      try? kernel.close(end.descriptor)
      if let original = end.original { try? kernel.close(original) }
    }
  }
}
