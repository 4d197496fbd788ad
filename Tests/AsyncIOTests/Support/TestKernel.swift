// SPDX-License-Identifier: Apache-2.0
import Synchronization
import SystemPackage

@testable import AsyncIO

/// The real kernel, with failures injected, calls counted, and every descriptor accounted for.
///
/// Accounting by kernel rather than by process lets tests look for leaks while others run beside them.
final class TestKernel: Kernel {
  enum Call: Hashable, Sendable {
    case makePoller, makeSocket, makeSocketPair, bind, listen, connect, accept, shutdownWrite, close, receive, send,
      sendGathering
    case sendFile, localAddress, remoteAddress, option, setOption, lookUp, wait, add, modify, remove
    case receiveFrom, receiveBatch, sendDatagram, sendBatch
    case spawn, spawnCopying, reap, signalChild, makePipe, openNullDevice, makeTerminal, duplicate, resizeTerminal
    case read, write, writeGathering, fileKind, setNonBlocking, reopen
    case makeCounter, setSignalDisposition

    /// Whether the process may have too many descriptors for it.
    var makesDescriptor: Bool {
      switch self {
      case .makePoller, .makeSocket, .makeSocketPair, .accept, .makeCounter: true
      case .spawn, .makePipe, .openNullDevice, .makeTerminal, .duplicate: true
      default: false
      }
    }
  }

  private struct Injection {
    var error: Errno
    var skip: Int
    var times: Int
  }

  private struct State {
    var open: Set<Int32> = []
    var counts: [Call: Int] = [:]
    var injections: [Call: [Injection]] = [:]
    var limits: [Call: Int] = [:]
    var clockOffset: Int64 = 0
    var clockStopped: Int64?
    var failingDescriptor: Int?
    var lookUp: (@Sendable (AddressQuery) throws(ResolutionError) -> [AddressInfo])?
    var timeouts: [Int64?] = []
    var swallowsFiles = false
    var misbegotten: [String] = []
    var lateRemovals = 0
  }

  private let state = Mutex(State())
  /// The children that were started and not reaped, by their numbers.
  let children = Shared<Set<Int32>>([])
  /// Set for children without pidfds, as old kernels and some sandboxes have them.
  let withholdsPidfds = Shared(false)
  let real: any Kernel = LinuxKernel.shared
  let sharingClone = NewerCall()
  /// What the process's environment has in it; nothing of the real one.
  let environment = Shared<[String: String]>([:])
  /// Where passed descriptors begin, in the place of 3, which is somebody else's here.
  let firstPassed = Shared<Int32>(3)
  let legacies = TakenLegacies()

  // MARK: For tests

  /// Has the call fail, `times` times in a row, after `skip` more calls went through.
  func inject(_ error: Errno, into call: Call, times: Int = 1, skip: Int = 0) {
    state.withLock { $0.injections[call, default: []].append(Injection(error: error, skip: skip, times: times)) }
  }

  /// Has one of the calls that make descriptors fail as it does when the process has too many: the `number`th from now
  /// on, counted from 0. Nil takes that back.
  func failDescriptor(_ number: Int?) { state.withLock { $0.failingDescriptor = number } }

  /// Whether ``failDescriptor(_:)`` has had its effect.
  var hasFailedDescriptor: Bool { state.withLock { $0.failingDescriptor == nil } }

  /// Takes back what was to fail and has not yet.
  func clearInjections() { state.withLock { $0.injections.removeAll() } }

  /// Lets each receive or send move at most so many bytes: short reads and writes. Nil lifts it. A batch counts
  /// datagrams.
  func limit(_ call: Call, toBytes bytes: Int?) { state.withLock { $0.limits[call] = bytes } }

  /// Has files sent to nowhere, as to a peer that takes all there is at once.
  func swallowFiles() { state.withLock { $0.swallowsFiles = true } }

  /// How often the call was made.
  func count(of call: Call) -> Int { state.withLock { $0.counts[call] ?? 0 } }

  /// The descriptors that were made and not closed.
  var openDescriptors: Set<Int32> { state.withLock { $0.open } }

  /// Answers look-ups in the resolver's place.
  func answerLookUps(_ answer: @escaping @Sendable (AddressQuery) throws(ResolutionError) -> [AddressInfo]) {
    state.withLock { $0.lookUp = answer }
  }

  /// The descriptors of the library's making that a program started by others would inherit, or that may block.
  var misbegotten: [String] { state.withLock { $0.misbegotten } }

  /// How many descriptors were closed, or someone else's, when the poller was told to let go of them.
  var lateRemovals: Int { state.withLock { $0.lateRemovals } }

  /// Moves the loop's clock.
  func advanceClock(by duration: Duration) {
    state.withLock { $0.clockOffset += duration.clampedNanoseconds }
  }

  /// Has the loop's clock stand still but for ``advanceClock(by:)``: then a limit that is late by whatever little does
  /// not pass.
  func stopClock() {
    state.withLock { $0.clockStopped = real.monotonicNanoseconds() }
  }

  var isClockStopped: Bool { state.withLock { $0.clockStopped != nil } }

  /// The timeouts of all polls so far, in nanoseconds.
  var pollTimeouts: [Int64?] { state.withLock { $0.timeouts } }

  // MARK: Accounting

  /// Counts the call, and throws what was injected.
  func enter(_ call: Call) throws(Errno) {
    let error = state.withLock { state -> Errno? in
      state.counts[call, default: 0] += 1
      if call.makesDescriptor, let number = state.failingDescriptor {
        state.failingDescriptor = number > 0 ? number - 1 : nil
        if number == 0 { return .tooManyOpenFiles }
      }
      guard var first = state.injections[call]?.first else { return nil }
      var error: Errno?
      if first.skip > 0 {
        first.skip -= 1
      } else {
        first.times -= 1
        error = first.error
      }
      if first.times > 0 { state.injections[call]?[0] = first } else { state.injections[call]?.removeFirst() }
      return error
    }
    if let error { throw error }
  }

  func noteLateRemoval() { state.withLock { $0.lateRemovals += 1 } }
  func note(faults: [String]) { state.withLock { $0.misbegotten += faults } }
  func opened(_ descriptor: Int32) { state.withLock { _ = $0.open.insert(descriptor) } }
  func closed(_ descriptor: Int32) { state.withLock { _ = $0.open.remove(descriptor) } }
  func polled(_ timeout: Int64?) { state.withLock { $0.timeouts.append(timeout) } }
  private func limit(of call: Call) -> Int? { state.withLock { $0.limits[call] } }

  // MARK: Kernel

  func monotonicNanoseconds() -> Int64 {
    state.withLock { ($0.clockStopped ?? real.monotonicNanoseconds()) + $0.clockOffset }
  }

  func makePoller() throws(Errno) -> any Poller {
    try enter(.makePoller)
    let poller = try real.makePoller()
    look(at: poller)
    return TestPoller(poller, self)
  }

  func makeSocket(_ family: AddressFamily, _ kind: SocketKind, _ transportProtocol: Int32) throws(Errno)
    -> FileDescriptor
  {
    try enter(.makeSocket)
    let descriptor = try real.makeSocket(family, kind, transportProtocol)
    made(descriptor, by: .makeSocket)
    return descriptor
  }

  func makeSocketPair(_ kind: SocketKind) throws(Errno) -> (FileDescriptor, FileDescriptor) {
    try enter(.makeSocketPair)
    let pair = try real.makeSocketPair(kind)
    for descriptor in [pair.0, pair.1] { made(descriptor, by: .makeSocketPair) }
    return pair
  }

  func bind(_ descriptor: FileDescriptor, to address: SocketAddress) throws(Errno) {
    try enter(.bind)
    try real.bind(descriptor, to: address)
  }

  func listen(_ descriptor: FileDescriptor, backlog: Int32) throws(Errno) {
    try enter(.listen)
    try real.listen(descriptor, backlog: backlog)
  }

  func connect(_ descriptor: FileDescriptor, to address: SocketAddress) throws(Errno) {
    try enter(.connect)
    try real.connect(descriptor, to: address)
  }

  func accept(_ descriptor: FileDescriptor) throws(Errno) -> (FileDescriptor, SocketAddress?) {
    try enter(.accept)
    let (accepted, address) = try real.accept(descriptor)
    made(accepted, by: .accept)
    return (accepted, address)
  }

  func shutdownWrite(_ descriptor: FileDescriptor) throws(Errno) {
    try enter(.shutdownWrite)
    try real.shutdownWrite(descriptor)
  }

  func close(_ descriptor: FileDescriptor) throws(Errno) {
    // Before the number is free: afterwards it may be someone else's.
    closed(descriptor.rawValue)
    try real.close(descriptor)
    try enter(.close)
  }

  func receive(_ descriptor: FileDescriptor, into buffer: inout MutableSpan<UInt8>) throws(Errno) -> Int {
    try enter(.receive)
    guard let limit = limit(of: .receive), limit < buffer.count else {
      return try real.receive(descriptor, into: &buffer)
    }
    var part = [UInt8](repeating: 0, count: limit)
    var span = part.mutableSpan
    let count = try real.receive(descriptor, into: &span)
    return buffer.copyPrefix(of: part.span.extracting(first: count))
  }

  func hasUnreadBytes(_ descriptor: FileDescriptor) -> Bool { real.hasUnreadBytes(descriptor) }

  func send(_ descriptor: FileDescriptor, _ bytes: Span<UInt8>) throws(Errno) -> Int {
    try enter(.send)
    return try real.send(descriptor, bytes.extracting(first: min(limit(of: .send) ?? .max, bytes.count)))
  }

  func send(_ descriptor: FileDescriptor, gathering chunks: [[UInt8]], skipping: Int) throws(Errno) -> Int {
    try enter(.sendGathering)
    guard let limit = limit(of: .sendGathering) else {
      return try real.send(descriptor, gathering: chunks, skipping: skipping)
    }
    let joined = Array(chunks.joined().dropFirst(skipping).prefix(limit))
    return try real.send(descriptor, joined.span)
  }

  func sendFile(
    _ descriptor: FileDescriptor, from file: FileDescriptor, offset: Int64, count: Int
  ) throws(Errno) -> Int {
    try enter(.sendFile)
    if state.withLock({ $0.swallowsFiles }) { return count }
    return try real.sendFile(
      descriptor, from: file, offset: offset, count: min(limit(of: .sendFile) ?? .max, count))
  }

  func readFile(_ file: FileDescriptor, offset: Int64, into buffer: inout MutableSpan<UInt8>) throws(Errno) -> Int {
    try real.readFile(file, offset: offset, into: &buffer)
  }

  func seekFile(_ file: FileDescriptor, to offset: Int64) throws(Errno) { try real.seekFile(file, to: offset) }

  func read(_ descriptor: FileDescriptor, into buffer: inout MutableSpan<UInt8>) throws(Errno) -> Int {
    try enter(.read)
    guard let limit = limit(of: .read), limit < buffer.count else { return try real.read(descriptor, into: &buffer) }
    var part = [UInt8](repeating: 0, count: limit)
    var span = part.mutableSpan
    let count = try real.read(descriptor, into: &span)
    return buffer.copyPrefix(of: part.span.extracting(first: count))
  }

  func write(_ descriptor: FileDescriptor, _ bytes: Span<UInt8>) throws(Errno) -> Int {
    try enter(.write)
    return try real.write(descriptor, bytes.extracting(first: min(limit(of: .write) ?? .max, bytes.count)))
  }

  func write(_ descriptor: FileDescriptor, gathering chunks: [[UInt8]], skipping: Int) throws(Errno) -> Int {
    try enter(.writeGathering)
    guard let limit = limit(of: .writeGathering) else {
      return try real.write(descriptor, gathering: chunks, skipping: skipping)
    }
    var part: [UInt8] = []
    for (index, chunk) in chunks.enumerated() where part.count < limit {
      part += chunk.dropFirst(index == 0 ? skipping : 0).prefix(limit - part.count)
    }
    return try real.write(descriptor, part.span)
  }

  func fileKind(_ descriptor: FileDescriptor) throws(Errno) -> FileKind {
    try enter(.fileKind)
    return try real.fileKind(descriptor)
  }

  func receiveFrom(_ descriptor: FileDescriptor, into buffer: inout MutableSpan<UInt8>) throws(Errno)
    -> (count: Int, sender: SocketAddress)
  {
    try enter(.receiveFrom)
    return try real.receiveFrom(descriptor, into: &buffer)
  }

  func receive(_ descriptor: FileDescriptor, into batch: DatagramBatch) throws(Errno) {
    try enter(.receiveBatch)
    batch.limit = limit(of: .receiveBatch) ?? batch.capacity
    try real.receive(descriptor, into: batch)
  }

  func send(_ descriptor: FileDescriptor, _ datagram: Span<UInt8>, to address: SocketAddress?) throws(Errno) {
    try enter(.sendDatagram)
    try real.send(descriptor, datagram, to: address)
  }

  func send(_ descriptor: FileDescriptor, _ datagrams: [OutgoingDatagram]) throws(Errno) -> Int {
    try enter(.sendBatch)
    return try real.send(descriptor, Array(datagrams.prefix(limit(of: .sendBatch) ?? .max)))
  }

  func takeQueuedErrors(_ descriptor: FileDescriptor) -> [QueuedError] { real.takeQueuedErrors(descriptor) }

  func localAddress(_ descriptor: FileDescriptor) throws(Errno) -> SocketAddress {
    try enter(.localAddress)
    return try real.localAddress(descriptor)
  }

  func remoteAddress(_ descriptor: FileDescriptor) throws(Errno) -> SocketAddress {
    try enter(.remoteAddress)
    return try real.remoteAddress(descriptor)
  }

  func option(_ descriptor: FileDescriptor, level: Int32, name: Int32) throws(Errno) -> Int32 {
    try enter(.option)
    return try real.option(descriptor, level: level, name: name)
  }

  func setOption(_ descriptor: FileDescriptor, level: Int32, name: Int32, _ value: Int32) throws(Errno) {
    try enter(.setOption)
    try real.setOption(descriptor, level: level, name: name, value)
  }

  func directions(_ descriptor: FileDescriptor) throws(Errno) -> Interest { try real.directions(descriptor) }

  func option(
    _ descriptor: FileDescriptor, level: Int32, name: Int32, into buffer: inout MutableSpan<UInt8>
  ) throws(Errno) -> Int {
    try enter(.option)
    return try real.option(descriptor, level: level, name: name, into: &buffer)
  }

  func setOption(_ descriptor: FileDescriptor, level: Int32, name: Int32, _ value: Span<UInt8>) throws(Errno) {
    try enter(.setOption)
    try real.setOption(descriptor, level: level, name: name, value)
  }

  func reopen(_ descriptor: FileDescriptor, for direction: Interest) throws(Errno) -> FileDescriptor {
    try enter(.reopen)
    let own = try real.reopen(descriptor, for: direction)
    made(own, by: .reopen)
    return own
  }

  func isNonBlocking(_ descriptor: FileDescriptor) throws(Errno) -> Bool { try real.isNonBlocking(descriptor) }

  func setNonBlocking(_ descriptor: FileDescriptor, _ nonBlocking: Bool) throws(Errno) {
    try enter(.setNonBlocking)
    try real.setNonBlocking(descriptor, nonBlocking)
  }

  func makeCounter() throws(Errno) -> FileDescriptor {
    try enter(.makeCounter)
    let descriptor = try real.makeCounter()
    made(descriptor, by: .makeCounter)
    return descriptor
  }

  func drainCounter(_ descriptor: FileDescriptor) { real.drainCounter(descriptor) }

  func signalDisposition(_ signal: Signal) throws(Errno) -> SignalDisposition {
    try real.signalDisposition(signal)
  }

  func setSignalDisposition(_ signal: Signal, _ disposition: SignalDisposition) throws(Errno) -> SignalDisposition {
    try enter(.setSignalDisposition)
    return try real.setSignalDisposition(signal, disposition)
  }

  func fileStatus(_ path: FilePath) throws(Errno) -> FileStatus { try real.fileStatus(path) }
  func unlink(_ path: FilePath) throws(Errno) { try real.unlink(path) }

  func lookUpName(_ address: SocketAddress, _ flags: NameInfoFlags) throws(ResolutionError) -> NameInfo {
    try real.lookUpName(address, flags)
  }

  func lookUp(_ query: AddressQuery) throws(ResolutionError) -> [AddressInfo] {
    state.withLock { $0.counts[.lookUp, default: 0] += 1 }
    if let answer = state.withLock({ $0.lookUp }) { return try answer(query) }
    return try real.lookUp(query)
  }
}
