// SPDX-License-Identifier: Apache-2.0
#if os(Linux)
  import CAsyncIO
  import Glibc
  package import SystemPackage

  /// The real system calls.
  package final class LinuxKernel: Kernel {
    package static let shared = LinuxKernel()

    package let sharingClone = NewerCall()

    private init() {}

    package func monotonicNanoseconds() -> Int64 {
      var now = timespec()
      _ = unsafe clock_gettime(CLOCK_MONOTONIC, &now)
      return Int64(now.tv_sec) * 1_000_000_000 + Int64(now.tv_nsec)
    }

    package func makePoller() throws(Errno) -> any Poller { try EpollPoller() }

    package func makeSocket(_ family: AddressFamily, _ kind: SocketKind, _ transportProtocol: Int32) throws(Errno)
      -> FileDescriptor
    {
      FileDescriptor(
        rawValue: try systemCall { socket(family.rawValue, kind.withCreationFlags, transportProtocol) })
    }

    package func makeSocketPair(_ kind: SocketKind) throws(Errno) -> (FileDescriptor, FileDescriptor) {
      var pair: [Int32] = [-1, -1]
      _ = try systemCall { unsafe socketpair(AF_UNIX, kind.withCreationFlags, 0, &pair) }
      return (FileDescriptor(rawValue: pair[0]), FileDescriptor(rawValue: pair[1]))
    }

    package func bind(_ descriptor: FileDescriptor, to address: SocketAddress) throws(Errno) {
      _ = try systemCall { unsafe address.withPlatformAddress { unsafe Glibc.bind(descriptor.rawValue, $0, $1) } }
    }

    package func listen(_ descriptor: FileDescriptor, backlog: Int32) throws(Errno) {
      _ = try systemCall { Glibc.listen(descriptor.rawValue, backlog) }
    }

    package func connect(_ descriptor: FileDescriptor, to address: SocketAddress) throws(Errno) {
      do throws(Errno) {
        _ = try systemCallOnce {
          unsafe address.withPlatformAddress { unsafe Glibc.connect(descriptor.rawValue, $0, $1) }
        }
      } catch Errno.interrupted {
        // The kernel goes on by itself; asking again would answer "already connecting".
        throw .nowInProgress
      }
    }

    package func accept(_ descriptor: FileDescriptor) throws(Errno) -> (FileDescriptor, SocketAddress?) {
      var accepted: Int32 = -1
      let address = try unsafe SocketAddress { (address, length) throws(Errno) in
        accepted = try systemCall { unsafe casyncio_accept(descriptor.rawValue, address, length) }
      }
      return (FileDescriptor(rawValue: accepted), address)
    }

    package func shutdownWrite(_ descriptor: FileDescriptor) throws(Errno) {
      _ = try systemCall { shutdown(descriptor.rawValue, Int32(SHUT_WR)) }
    }

    package func close(_ descriptor: FileDescriptor) throws(Errno) {
      do throws(Errno) {
        _ = try systemCallOnce { Glibc.close(descriptor.rawValue) }
      } catch Errno.interrupted {
        // Linux has released the number all the same; closing again could hit its next owner.
      }
    }

    // Whoever makes a system call for each message finds its body behind the protocol's entry, without a second call.
    @inline(__always)
    package func receive(_ descriptor: FileDescriptor, into buffer: inout MutableSpan<UInt8>) throws(Errno) -> Int {
      // The span's memory is ours for the length of the call, and the kernel writes at most its count.
      try unsafe buffer.withUnsafeMutableBufferPointer { (bytes) throws(Errno) in
        try systemCall { unsafe recv(descriptor.rawValue, bytes.baseAddress, bytes.count, Int32(MSG_DONTWAIT)) }
      }
    }

    package func hasUnreadBytes(_ descriptor: FileDescriptor) -> Bool {
      var byte: UInt8 = 0
      // A byte of ours for the length of the call.
      return unsafe recv(descriptor.rawValue, &byte, 1, Int32(MSG_PEEK | MSG_DONTWAIT)) > 0
    }

    @inline(__always)
    package func send(_ descriptor: FileDescriptor, _ bytes: Span<UInt8>) throws(Errno) -> Int {
      // The kernel only reads, and at most the span's count.
      try unsafe bytes.withUnsafeBufferPointer { (bytes) throws(Errno) in
        try systemCall { unsafe Glibc.send(descriptor.rawValue, bytes.baseAddress, bytes.count, sendFlags) }
      }
    }

    package func send(_ descriptor: FileDescriptor, gathering chunks: [[UInt8]], skipping: Int) throws(Errno) -> Int {
      try unsafe withVectors(chunks, skipping) { (vectors) throws(Errno) in
        var message = unsafe msghdr()
        unsafe message.msg_iov = vectors.baseAddress
        unsafe message.msg_iovlen = vectors.count
        return try systemCall { unsafe sendmsg(descriptor.rawValue, &message, sendFlags) }
      }
    }

    package func receiveFrom(_ descriptor: FileDescriptor, into buffer: inout MutableSpan<UInt8>) throws(Errno)
      -> (count: Int, sender: SocketAddress)
    {
      var count = 0
      // The span's memory is ours for the length of the call, and the kernel writes at most its count.
      let sender = try unsafe buffer.withUnsafeMutableBufferPointer { (bytes) throws(Errno) in
        try unsafe SocketAddress { (address, length) throws(Errno) in
          count = try systemCall {
            unsafe recvfrom(descriptor.rawValue, bytes.baseAddress, bytes.count, 0, address, length)
          }
        }
      }
      return (count, sender ?? .unnamed)
    }

    package func receive(_ descriptor: FileDescriptor, into batch: DatagramBatch) throws(Errno) {
      try unsafe batch.fill { (messages, capacity) throws(Errno) in
        Int(try systemCall { unsafe casyncio_receive_messages(descriptor.rawValue, messages, UInt32(capacity)) })
      }
    }

    package func send(_ descriptor: FileDescriptor, _ datagram: Span<UInt8>, to address: SocketAddress?) throws(Errno) {
      // The kernel only reads, and at most the span's count. Of a datagram it takes all or nothing.
      _ = try unsafe datagram.withUnsafeBufferPointer { (bytes) throws(Errno) in
        try systemCall {
          guard let address else {
            return unsafe Glibc.send(descriptor.rawValue, bytes.baseAddress, bytes.count, sendFlags)
          }
          return unsafe address.withPlatformAddress {
            unsafe sendto(descriptor.rawValue, bytes.baseAddress, bytes.count, sendFlags, $0, $1)
          }
        }
      }
    }

    package func send(_ descriptor: FileDescriptor, _ datagrams: [OutgoingDatagram]) throws(Errno) -> Int {
      try unsafe OutgoingDatagram.withMessages(datagrams) { (messages) throws(Errno) in
        Int(
          try systemCall {
            unsafe casyncio_send_messages(
              descriptor.rawValue, messages.baseAddress, UInt32(messages.count), sendFlags)
          })
      }
    }

    /// A peer that went away is an error of the call, never a signal to the process. Nor does it wait, whatever the mode of
    /// a socket that is not ours alone.
    private let sendFlags = Int32(MSG_NOSIGNAL) | Int32(MSG_DONTWAIT)

    package func sendFile(
      _ descriptor: FileDescriptor, from file: FileDescriptor, offset: Int64, count: Int
    ) throws(Errno) -> Int {
      var offset = off_t(offset)
      // The kernel moves at most this much at a time in any case.
      let count = min(count, 0x7fff_f000)
      // Unlike `send`, this has no flag to keep the signal away.
      return try withoutBrokenPipeSignal { () throws(Errno) in
        try systemCall { unsafe sendfile(descriptor.rawValue, file.rawValue, &offset, count) }
      }
    }

    package func readFile(
      _ file: FileDescriptor, offset: Int64, into buffer: inout MutableSpan<UInt8>
    ) throws(Errno) -> Int {
      // The span's memory is ours for the length of the call, and the kernel writes at most its count.
      try unsafe buffer.withUnsafeMutableBufferPointer { (bytes) throws(Errno) in
        try systemCall { unsafe pread(file.rawValue, bytes.baseAddress, bytes.count, off_t(offset)) }
      }
    }

    package func seekFile(_ file: FileDescriptor, to offset: Int64) throws(Errno) {
      _ = try systemCall { lseek(file.rawValue, off_t(offset), SEEK_SET) }
    }

    package func localAddress(_ descriptor: FileDescriptor) throws(Errno) -> SocketAddress {
      try unsafe address { unsafe getsockname(descriptor.rawValue, $0, $1) }
    }

    package func remoteAddress(_ descriptor: FileDescriptor) throws(Errno) -> SocketAddress {
      try unsafe address { unsafe getpeername(descriptor.rawValue, $0, $1) }
    }

    private func address(_ query: (UnsafeMutablePointer<sockaddr>, UnsafeMutablePointer<socklen_t>) -> Int32)
      throws(Errno) -> SocketAddress
    {
      let address = try unsafe SocketAddress { (address, length) throws(Errno) in
        _ = try systemCall { unsafe query(address, length) }
      }
      guard let address else { throw .addressFamilyNotSupported }
      return address
    }

    package func option(_ descriptor: FileDescriptor, level: Int32, name: Int32) throws(Errno) -> Int32 {
      var value: Int32 = 0
      var length = socklen_t(MemoryLayout<Int32>.size)
      _ = try systemCall { unsafe getsockopt(descriptor.rawValue, level, name, &value, &length) }
      return value
    }

    package func setOption(_ descriptor: FileDescriptor, level: Int32, name: Int32, _ value: Int32) throws(Errno) {
      var value = value
      let length = socklen_t(MemoryLayout<Int32>.size)
      _ = try systemCall { unsafe setsockopt(descriptor.rawValue, level, name, &value, length) }
    }

    package func option(
      _ descriptor: FileDescriptor, level: Int32, name: Int32, into buffer: inout MutableSpan<UInt8>
    ) throws(Errno) -> Int {
      // The span's memory is ours for the length of the call, and the kernel writes at most its count.
      try unsafe buffer.withUnsafeMutableBufferPointer { (bytes) throws(Errno) in
        var length = socklen_t(clamping: bytes.count)
        _ = try systemCall { unsafe getsockopt(descriptor.rawValue, level, name, bytes.baseAddress, &length) }
        return Int(length)
      }
    }

    package func setOption(
      _ descriptor: FileDescriptor, level: Int32, name: Int32, _ value: Span<UInt8>
    ) throws(Errno) {
      // The kernel only reads, and at most the span's count.
      _ = try unsafe value.withUnsafeBufferPointer { (bytes) throws(Errno) in
        try systemCall {
          unsafe setsockopt(descriptor.rawValue, level, name, bytes.baseAddress, socklen_t(clamping: bytes.count))
        }
      }
    }

    package func isNonBlocking(_ descriptor: FileDescriptor) throws(Errno) -> Bool {
      try systemCall { fcntl(descriptor.rawValue, F_GETFL) } & O_NONBLOCK != 0
    }

    package func setNonBlocking(_ descriptor: FileDescriptor, _ nonBlocking: Bool) throws(Errno) {
      let flags = try systemCall { fcntl(descriptor.rawValue, F_GETFL) }
      let wanted = nonBlocking ? flags | O_NONBLOCK : flags & ~O_NONBLOCK
      if wanted != flags { _ = try systemCall { fcntl(descriptor.rawValue, F_SETFL, wanted) } }
    }

    package func fileStatus(_ path: FilePath) throws(Errno) -> FileStatus {
      var status = stat()
      _ = try systemCall { unsafe path.withPlatformString { unsafe lstat($0, &status) } }
      return FileStatus(
        isSocket: status.st_mode & S_IFMT == S_IFSOCK, device: UInt64(status.st_dev), inode: UInt64(status.st_ino))
    }

    package func unlink(_ path: FilePath) throws(Errno) {
      _ = try systemCall { unsafe path.withPlatformString { unsafe Glibc.unlink($0) } }
    }

    package func signalDisposition(_ signal: Signal) throws(Errno) -> SignalDisposition {
      var current = sigaction()
      _ = try systemCall { unsafe sigaction(signal.rawValue, nil, &current) }
      return SignalDisposition(current)
    }

    package func setSignalDisposition(
      _ signal: Signal, _ disposition: SignalDisposition
    ) throws(Errno) -> SignalDisposition {
      var former = sigaction()
      // The kernel copies both.
      _ = try systemCall {
        unsafe withUnsafePointer(to: disposition.action) { unsafe sigaction(signal.rawValue, $0, &former) }
      }
      return SignalDisposition(former)
    }

    package func makeCounter() throws(Errno) -> FileDescriptor {
      FileDescriptor(rawValue: try systemCall { casyncio_counter() })
    }

    package func drainCounter(_ descriptor: FileDescriptor) {
      _ = casyncio_counter_drain(descriptor.rawValue)
    }

    package func lookUp(_ query: AddressQuery) throws(ResolutionError) -> [AddressInfo] { try query.ask() }

    package func lookUpName(_ address: SocketAddress, _ flags: NameInfoFlags) throws(ResolutionError) -> NameInfo {
      try NameInfo(of: address, flags)
    }
  }

  /// The kernel of the platform, for sockets that are made without a loop.
  package let platformKernel: any Kernel = LinuxKernel.shared

  extension SocketKind {
    /// The kind with the flags that make the new descriptor non-blocking and close-on-exec from birth.
    fileprivate var withCreationFlags: Int32 {
      rawValue | Int32(SOCK_NONBLOCK.rawValue) | Int32(SOCK_CLOEXEC.rawValue)
    }
  }
#endif
