// SPDX-License-Identifier: Apache-2.0
import AsyncIO
import HeapModule
import SystemPackage

/// The kernel of a simulated host: its descriptors, and what they stand for.
///
/// What the real one does for loops, streams, datagrams, unix sockets and look-ups, it does in memory. Children and terminals
/// it has not: calls for them fail with `ENOSYS`. Files are the real ones.
///
/// The protocol wants it to be safe on any thread. Sound: the world runs on one thread, and so does every loop in it; what
/// other threads ask for is the time alone, which is atomic.
final class SimulatedKernel: Kernel, @unchecked Sendable {
  let world: World
  /// The host's number, for the trace.
  let number: Int
  let clock: HostClock
  let sharingClone = NewerCall()
  /// What stands between this host and others.
  unowned let host: SimulatedHost
  private(set) var poller: SimulatedPoller?
  private(set) var files: [Int32: OpenFile] = [:]
  private var freeNumbers = Heap<Int32>()
  private var nextNumber = SimulatedKernel.firstNumber
  /// Who has which address.
  var ports = PortTable()
  /// The files of unix sockets, by their paths.
  var socketFiles: [[UInt8]: SocketFileEntry] = [:]
  var nextInode: UInt64 = 1
  /// Set when the host has crashed: nothing reaches the kernel any more, and every call fails.
  var isDead = false

  /// Above the numbers that the process uses, as a rule: a real descriptor that gets in here is so told from ours. Not far
  /// above, since loops have tables by number.
  static let firstNumber: Int32 = 1000

  init(_ world: World, _ host: SimulatedHost, _ clock: HostClock) {
    self.world = world
    self.host = host
    self.clock = clock
    number = host.number
  }

  func monotonicNanoseconds() -> Int64 { clock.now }

  func makePoller() throws(Errno) -> any Poller {
    let made = SimulatedPoller(self)
    poller = made
    return made
  }

  // MARK: Every call

  /// Notes a call, and refuses it where that is wanted.
  func enter(_ call: KernelCall, _ descriptor: FileDescriptor?) throws(Errno) {
    if isDead { throw .ioError }
    if let refusal = host.refusals.next(call) ?? host.network?.faults.refusal(of: call, host) {
      note(.refusal, Int64(refusal.rawValue), Int64(descriptor?.rawValue ?? -1))
      throw refusal
    }
  }

  func note(_ kind: TraceEvent, _ a: Int64 = 0, _ b: Int64 = 0) {
    world.trace.note(
      world.now, number, kind, a, b, "\(Duration.nanoseconds(world.now)) \(host.name): \(kind) \(a) \(b)")
  }

  /// Closes what is open, as a kernel does when the process has ended: so those at the other ends hear of it.
  func closeEverything() {
    for (number, _) in openFiles { try? close(FileDescriptor(rawValue: number)) }
    poller?.close()
  }

  /// Takes over the files of unix sockets that an earlier process of the host has left.
  func inheritSocketFiles(of kernel: SimulatedKernel) {
    socketFiles = kernel.socketFiles
    nextInode = kernel.nextInode
  }

  /// Forgets what is open, without a word to anybody.
  func dropEverything() {
    poller?.close()
    for (_, file) in openFiles { (file as? StreamSocket)?.crashed() }
    files.removeAll()
    ports = PortTable()
    socketFiles.removeAll()
  }

  // MARK: Descriptors

  func open(_ file: OpenFile) throws(Errno) -> FileDescriptor {
    guard files.count < host.descriptorLimit else { throw .tooManyOpenFiles }
    let number = freeNumbers.popMin() ?? nextNumber
    if number == nextNumber { nextNumber += 1 }
    files[number] = file
    return FileDescriptor(rawValue: number)
  }

  func file<File: OpenFile>(_ descriptor: FileDescriptor, _: File.Type = File.self) throws(Errno) -> File {
    guard let file = files[descriptor.rawValue] else { throw .badFileDescriptor }
    guard let file = file as? File else { throw .notSocket }
    return file
  }

  func close(_ descriptor: FileDescriptor) throws(Errno) {
    guard let file = files.removeValue(forKey: descriptor.rawValue) else { throw .badFileDescriptor }
    note(.close, Int64(descriptor.rawValue))
    poller?.forget(descriptor.rawValue)
    freeNumbers.insert(descriptor.rawValue)
    file.references -= 1
    if file.references == 0 { file.wasClosed() }
  }

  func duplicate(_ descriptor: FileDescriptor) throws(Errno) -> FileDescriptor {
    let file: OpenFile = try file(descriptor)
    let copy = try open(file)
    file.references += 1
    return copy
  }

  /// Whether anything is open but for what a loop has for itself.
  var hasOpenFiles: Bool { files.values.contains { !($0 is CounterFile) } }

  /// What is open, by number.
  var openFiles: [(number: Int32, file: OpenFile)] {
    files.sorted { $0.key < $1.key }.map { ($0.key, $0.value) }
  }

  func isNonBlocking(_ descriptor: FileDescriptor) throws(Errno) -> Bool {
    let file: OpenFile = try file(descriptor)
    return file.isNonBlocking
  }

  func setNonBlocking(_ descriptor: FileDescriptor, _ nonBlocking: Bool) throws(Errno) {
    let file: OpenFile = try file(descriptor)
    file.isNonBlocking = nonBlocking
  }

  func fileKind(_ descriptor: FileDescriptor) throws(Errno) -> FileKind {
    let file: OpenFile = try file(descriptor)
    return file.kind
  }

  func makeCounter() throws(Errno) -> FileDescriptor { try open(CounterFile(self)) }

  func drainCounter(_ descriptor: FileDescriptor) {
    let counter: CounterFile? = try? file(descriptor)
    counter?.drain()
  }

  // MARK: Work for threads

  func takeOver(_ job: BlockingJob, for method: StaticString) -> Bool {
    let isLookUp = "\(method)" == "getaddrinfo" || "\(method)" == "getnameinfo"
    let delay = isLookUp ? host.lookUpDelay() : 0
    world.schedule(after: delay) { job.run() }
    return true
  }
}
