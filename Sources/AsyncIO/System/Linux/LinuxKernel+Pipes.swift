// SPDX-License-Identifier: Apache-2.0
#if os(Linux)
  import CAsyncIO
  import Glibc
  package import SystemPackage

  extension LinuxKernel {
    package func read(_ descriptor: FileDescriptor, into buffer: inout MutableSpan<UInt8>) throws(Errno) -> Int {
      // The span's memory is ours for the length of the call, and the kernel writes at most its count.
      try unsafe buffer.withUnsafeMutableBufferPointer { (bytes) throws(Errno) in
        try systemCall { unsafe Glibc.read(descriptor.rawValue, bytes.baseAddress, bytes.count) }
      }
    }

    package func write(_ descriptor: FileDescriptor, _ bytes: Span<UInt8>) throws(Errno) -> Int {
      // The kernel only reads, and at most the span's count.
      try unsafe bytes.withUnsafeBytes { (bytes) throws(Errno) in
        var vector = unsafe iovec(
          iov_base: UnsafeMutableRawBufferPointer(mutating: bytes).baseAddress, iov_len: bytes.count)
        return try unsafe PipeWriting.write(descriptor, &vector, 1)
      }
    }

    package func write(_ descriptor: FileDescriptor, gathering chunks: [[UInt8]], skipping: Int) throws(Errno) -> Int {
      try unsafe withVectors(chunks, skipping) { (vectors) throws(Errno) in
        guard let first = vectors.baseAddress else { return 0 }
        return try unsafe PipeWriting.write(descriptor, first, vectors.count)
      }
    }

    package func fileKind(_ descriptor: FileDescriptor) throws(Errno) -> FileKind {
      var status = stat()
      _ = try systemCall { unsafe fstat(descriptor.rawValue, &status) }
      switch status.st_mode & S_IFMT {
      case S_IFIFO: return .pipe
      case S_IFSOCK: return .socket
      case S_IFCHR: return .characterDevice
      case S_IFREG: return .regularFile
      case S_IFDIR: return .directory
      default: return .other
      }
    }
  }

  extension LinuxKernel {
    package func directions(_ descriptor: FileDescriptor) throws(Errno) -> Interest {
      switch try systemCall({ fcntl(descriptor.rawValue, F_GETFL) }) & O_ACCMODE {
      case O_RDONLY: .read
      case O_WRONLY: .write
      default: [.read, .write]
      }
    }

    package func reopen(_ descriptor: FileDescriptor, for direction: Interest) throws(Errno) -> FileDescriptor {
      let kind = try fileKind(descriptor)
      guard kind == .pipe || kind == .characterDevice && casyncio_is_terminal(descriptor.rawValue) != 0 else {
        throw .notSupported
      }
      let packets = try systemCall { fcntl(descriptor.rawValue, F_GETFL) } & casyncio_packet_flag()
      let mode = (direction == .read ? O_RDONLY : O_WRONLY) | packets
      let own = FileDescriptor(
        rawValue: try systemCall {
          unsafe Glibc.open("/proc/self/fd/\(descriptor.rawValue)", mode | O_NONBLOCK | O_CLOEXEC | O_NOCTTY)
        })
      // A FIFO whose writers have gone does not tell that to those who come later.
      var state = pollfd(fd: descriptor.rawValue, events: 0, revents: 0)
      if unsafe poll(&state, 1, 0) == 1, Int32(state.revents) & POLLHUP != 0 {
        try? close(own)
        throw .brokenPipe
      }
      return own
    }
  }

  /// Writing without SIGPIPE, which would end the process. A pipe has no such flag as a socket's MSG_NOSIGNAL, but new
  /// kernels (6.18) have one for single writes. On others the signal is held back around each, for two more system calls:
  /// to ignore the signal once and for all would change the process behind the program's back, and its children.
  enum PipeWriting {
    /// Whether the kernel knows the flag.
    private static let hasFlag = casyncio_can_write_without_signal() != 0

    static func write(
      _ descriptor: FileDescriptor, _ vectors: UnsafeMutablePointer<iovec>, _ count: Int, usesFlag: Bool = hasFlag
    ) throws(Errno) -> Int {
      if usesFlag {
        do throws(Errno) {
          return try systemCall { unsafe casyncio_write_without_signal(descriptor.rawValue, vectors, Int32(count)) }
        } catch {
          // Some drivers take no flags at all, and a program may have shut itself in since the kernel was asked.
          if !error.isRefusal { throw error }
        }
      }
      return try withoutBrokenPipeSignal { () throws(Errno) in
        try systemCall { unsafe writev(descriptor.rawValue, vectors, Int32(count)) }
      }
    }
  }

  /// Lends the chunks, without the first `skipping` bytes of the first, as the kernel's gathering calls want them: as
  /// many of them as one call takes.
  func withVectors<Answer>(
    _ chunks: [[UInt8]], _ skipping: Int, _ body: (UnsafeMutableBufferPointer<iovec>) throws(Errno) -> Answer
  ) throws(Errno) -> Answer {
    var vectors = unsafe [iovec]()
    unsafe vectors.reserveCapacity(chunks.count)
    for (index, chunk) in chunks.prefix(Int(casyncio_max_vectors())).enumerated() {
      // An array's bytes stay where they are while someone holds it, and `chunks` holds each until the call is over.
      unsafe chunk.withUnsafeBytes { bytes in
        let rest = unsafe UnsafeMutableRawBufferPointer(
          mutating: UnsafeRawBufferPointer(rebasing: bytes[(index == 0 ? skipping : 0)...]))
        unsafe vectors.append(iovec(iov_base: rest.baseAddress, iov_len: rest.count))
      }
    }
    return try withExtendedLifetime(chunks) { () throws(Errno) in
      try unsafe vectors.withUnsafeMutableBufferPointer { (vectors) throws(Errno) in try unsafe body(vectors) }
    }
  }
#endif
