// SPDX-License-Identifier: Apache-2.0
package import SystemPackage

/// Every system call that a loop makes on a descriptor, one method each.
///
/// A method retries what a signal interrupted, and throws the call's error number as it is: it translates, it never
/// decides. Descriptors that it makes are non-blocking and close-on-exec from birth. Tests put a kernel of their own
/// in front of the real one to inject failures.
package protocol Kernel: ChildKernel, StartKernel, AnyObject, Sendable {
  /// Nanoseconds on the monotonic clock.
  func monotonicNanoseconds() -> Int64

  func makePoller() throws(Errno) -> any Poller

  func makeSocket(_ family: AddressFamily, _ kind: SocketKind, _ transportProtocol: Int32) throws(Errno)
    -> FileDescriptor
  func makeSocketPair(_ kind: SocketKind) throws(Errno) -> (FileDescriptor, FileDescriptor)
  func bind(_ descriptor: FileDescriptor, to address: SocketAddress) throws(Errno)
  func listen(_ descriptor: FileDescriptor, backlog: Int32) throws(Errno)
  /// Throws `EINPROGRESS` where the connection takes a while: the socket becomes writable once that is decided.
  func connect(_ descriptor: FileDescriptor, to address: SocketAddress) throws(Errno)
  func accept(_ descriptor: FileDescriptor) throws(Errno) -> (FileDescriptor, SocketAddress?)
  func shutdownWrite(_ descriptor: FileDescriptor) throws(Errno)
  func close(_ descriptor: FileDescriptor) throws(Errno)

  /// The number of bytes that arrived; zero is the end of the stream.
  func receive(_ descriptor: FileDescriptor, into buffer: inout MutableSpan<UInt8>) throws(Errno) -> Int
  /// Whether bytes have arrived that were not received yet.
  func hasUnreadBytes(_ descriptor: FileDescriptor) -> Bool
  /// The number of bytes taken. A peer that went away is `EPIPE`, never a signal.
  func send(_ descriptor: FileDescriptor, _ bytes: Span<UInt8>) throws(Errno) -> Int
  /// Sends the chunks as one message, without the first `skipping` bytes of the first.
  func send(_ descriptor: FileDescriptor, gathering chunks: [[UInt8]], skipping: Int) throws(Errno) -> Int

  /// Has the kernel send bytes of a file, from an offset. Zero at the file's end.
  func sendFile(_ descriptor: FileDescriptor, from file: FileDescriptor, offset: Int64, count: Int) throws(Errno) -> Int
  /// Reads from a file at an offset; blocks as long as the disk takes.
  func readFile(_ file: FileDescriptor, offset: Int64, into buffer: inout MutableSpan<UInt8>) throws(Errno) -> Int
  /// Moves a file's position.
  func seekFile(_ file: FileDescriptor, to offset: Int64) throws(Errno)

  /// The number of bytes that were read from a pipe, a terminal or the like; zero is the end.
  func read(_ descriptor: FileDescriptor, into buffer: inout MutableSpan<UInt8>) throws(Errno) -> Int
  /// The number of bytes taken. A reader that went away is `EPIPE`, never a signal.
  func write(_ descriptor: FileDescriptor, _ bytes: Span<UInt8>) throws(Errno) -> Int
  /// Writes the chunks by one call, without the first `skipping` bytes of the first.
  func write(_ descriptor: FileDescriptor, gathering chunks: [[UInt8]], skipping: Int) throws(Errno) -> Int
  func fileKind(_ descriptor: FileDescriptor) throws(Errno) -> FileKind
  /// Whether it was opened for reading, for writing, or for both.
  func directions(_ descriptor: FileDescriptor) throws(Errno) -> Interest

  /// The size of the datagram that arrived, as far as it fits, and its sender.
  func receiveFrom(_ descriptor: FileDescriptor, into buffer: inout MutableSpan<UInt8>) throws(Errno)
    -> (count: Int, sender: SocketAddress)
  /// Fills the batch with what is there: at least one datagram.
  func receive(_ descriptor: FileDescriptor, into batch: DatagramBatch) throws(Errno)
  /// Sends a datagram, whole or not at all; without an address to the peer that the socket is connected to.
  func send(_ descriptor: FileDescriptor, _ datagram: Span<UInt8>, to address: SocketAddress?) throws(Errno)
  /// Sends datagrams in order.
  ///
  /// - Returns: how many of the first were taken, at least one.
  func send(_ descriptor: FileDescriptor, _ datagrams: [OutgoingDatagram]) throws(Errno) -> Int

  /// Takes what is in the error queue of an IP socket, which a program may have asked for (`IP_RECVERR`): as long as
  /// there is something, pollers report the socket as failed. Empty for other descriptors.
  func takeQueuedErrors(_ descriptor: FileDescriptor) -> [QueuedError]

  func localAddress(_ descriptor: FileDescriptor) throws(Errno) -> SocketAddress
  func remoteAddress(_ descriptor: FileDescriptor) throws(Errno) -> SocketAddress
  func option(_ descriptor: FileDescriptor, level: Int32, name: Int32) throws(Errno) -> Int32
  func setOption(_ descriptor: FileDescriptor, level: Int32, name: Int32, _ value: Int32) throws(Errno)
  /// Fills the buffer with an option's value; the answer is how much of it that is.
  func option(
    _ descriptor: FileDescriptor, level: Int32, name: Int32, into buffer: inout MutableSpan<UInt8>
  ) throws(Errno) -> Int
  func setOption(_ descriptor: FileDescriptor, level: Int32, name: Int32, _ value: Span<UInt8>) throws(Errno)
  /// Opens what a descriptor stands for once more: non-blocking, in an open file of its own, for one direction. Throws for
  /// what cannot be opened so, such as a socket.
  func reopen(_ descriptor: FileDescriptor, for direction: Interest) throws(Errno) -> FileDescriptor

  func isNonBlocking(_ descriptor: FileDescriptor) throws(Errno) -> Bool
  func setNonBlocking(_ descriptor: FileDescriptor, _ nonBlocking: Bool) throws(Errno)

  /// What there is at a path, without following a link.
  func fileStatus(_ path: FilePath) throws(Errno) -> FileStatus
  func unlink(_ path: FilePath) throws(Errno)

  /// Whether signals come from the process. Else whoever has made the kernel delivers them to its loop.
  var hasSignalsOfTheProcess: Bool { get }
  /// What the process does on a signal.
  func signalDisposition(_ signal: Signal) throws(Errno) -> SignalDisposition
  /// Has the process do something else on a signal.
  ///
  /// - Returns: what it did before.
  func setSignalDisposition(_ signal: Signal, _ disposition: SignalDisposition) throws(Errno) -> SignalDisposition

  /// A counter that becomes readable when something was added to it. Signal handlers write to it.
  func makeCounter() throws(Errno) -> FileDescriptor
  func drainCounter(_ descriptor: FileDescriptor)

  /// Blocks until the name is looked up: never called on a loop's thread but for literal addresses.
  func lookUp(_ query: AddressQuery) throws(ResolutionError) -> [AddressInfo]
  /// Blocks until the address is looked up.
  func lookUpName(_ address: SocketAddress, _ flags: NameInfoFlags) throws(ResolutionError) -> NameInfo

  /// Takes over work that would block a thread, where time is not the real one.
  ///
  /// - Parameters:
  ///   - job: the work, to be run or cancelled later.
  ///   - method: the call that wants it.
  /// - Returns: false to leave it to a real thread.
  func takeOver(_ job: BlockingJob, for method: StaticString) -> Bool
}

extension Kernel {
  package var hasSignalsOfTheProcess: Bool { true }
  package func takeOver(_ job: BlockingJob, for method: StaticString) -> Bool { false }
}

/// What a file is, and which: the same numbers are the same file.
package struct FileStatus: Hashable, Sendable {
  package var isSocket: Bool
  package var device: UInt64
  package var inode: UInt64

  package init(isSocket: Bool, device: UInt64, inode: UInt64) {
    self.isSocket = isSocket
    self.device = device
    self.inode = inode
  }
}

/// What became of something that was sent, as routers and the peer's machine told afterwards.
package struct QueuedError: Equatable, Sendable {
  package var code: Errno
  /// Where it was sent to.
  package var destination: SocketAddress?
}

/// What a descriptor stands for.
package enum FileKind: Sendable {
  case pipe, socket, characterDevice, regularFile, directory, other
}

/// What a poller watches a descriptor for.
package struct Interest: OptionSet, Sendable {
  package let rawValue: UInt8
  package init(rawValue: UInt8) { self.rawValue = rawValue }
  package static let read = Interest(rawValue: 1)
  package static let write = Interest(rawValue: 2)
  /// Neither: only that the other end went away, or an error. Pollers tell that whatever was asked for.
  package static let hangUp = Interest(rawValue: 4)
}

/// One ready descriptor: for whom it is (the generation tells the number's owners apart), and ready for what.
package struct PollEvent: Sendable {
  package var descriptor: Int32
  package var generation: UInt32
  /// An error or a hang-up counts as everything, so that whoever watches finds out by trying.
  package var ready: Interest

  package init(descriptor: Int32, generation: UInt32, ready: Interest) {
    self.descriptor = descriptor
    self.generation = generation
    self.ready = ready
  }
}

/// The readiness notifier of a platform. It translates, it never decides.
package protocol Poller: AnyObject {
  func add(_ descriptor: FileDescriptor, _ interest: Interest, generation: UInt32) throws(Errno)
  func modify(_ descriptor: FileDescriptor, _ interest: Interest, generation: UInt32) throws(Errno)
  func remove(_ descriptor: FileDescriptor) throws(Errno)
  /// Appends what is ready. Waits for at most `timeout` nanoseconds (nil: for ever), never for less.
  func wait(timeout: Int64?, into events: inout [PollEvent]) throws(Errno)
  /// Ends a wait from another thread.
  var waker: any Waker { get }
  /// Releases the descriptors. Neither the poller nor its waker may be used afterwards.
  func close()
}

package protocol Waker: Sendable {
  func wake()
}
