// SPDX-License-Identifier: Apache-2.0
import AsyncIO
import DequeModule

/// One direction of a stream: what its sender's kernel has accepted, on its way to the other end. In order, and without loss:
/// what a partition stops is sent again when it is over.
///
/// It outlives its sender's descriptor: what was accepted arrives although that was closed.
final class Flow {
  enum Segment {
    case bytes([UInt8])
    /// The sender sends no more.
    case end
    /// The connection is broken.
    case reset
    /// A unix socket was closed: nobody reads there any more either.
    case closed
    /// The question whether there is room by now, from who has been told that there is none.
    case probe
    /// The last step of a connection's making: it is ready to be accepted.
    case established(AcceptQueue, StreamEnd)
  }

  private let world: World
  /// The way; nil for a stream inside of a host, where nothing takes time.
  let path: Path?
  weak var source: StreamEnd?
  weak var target: StreamEnd?
  /// The other direction.
  weak var reverse: Flow?
  /// How much may have been accepted and not read at the other end: the buffers of both.
  var capacity: Int
  private var outstanding = 0
  private var underWay = Deque<(arrival: Int64, segment: Segment)>()
  private var lastArrival: Int64 = 0
  private var isPumping = false
  /// How often it was stopped by a partition, to tell one from the next.
  private var stalls = 0
  private(set) var isStalled = false

  /// How long a kernel sends again what nobody acknowledges: what Linux makes of its 15 retries.
  static let timeout: Int64 = 924_600_000_000

  init(_ world: World, _ path: Path?, capacity: Int) {
    self.world = world
    self.path = path
    self.capacity = capacity
  }

  var room: Int { max(0, capacity - outstanding) }

  /// Whether a poller calls it writable: where a third is free, as Linux has it, so that not each byte read makes it so.
  var isWritable: Bool { outstanding == 0 || room * 3 >= capacity }

  /// Takes bytes, as many as there is room for, or fewer.
  ///
  /// - Returns: how many; zero when there is no room.
  func send(_ bytes: Span<UInt8>) -> Int {
    let fitting = min(room, bytes.count)
    if fitting == 0 { return 0 }
    let count = world.choices.share(of: fitting)
    outstanding += count
    var sent = 0
    while sent < count {
      let size = min(world.choices.share(of: count - sent), path?.segmentLimit ?? .max)
      put(.bytes([UInt8](copying: bytes.extracting(sent..<sent + size))))
      sent += size
    }
    return count
  }

  func put(_ segment: Segment) {
    guard let path else { return deliver(segment) }
    let size = if case .bytes(let bytes) = segment { bytes.count } else { 0 }
    lastArrival = max(lastArrival, path.arrival(of: size))
    underWay.append((lastArrival, segment))
    pump()
  }

  /// Forgets what is under way.
  func discard() { underWay.removeAll() }

  // MARK: Under way

  private func pump() {
    guard !isPumping, !isStalled, let first = underWay.first else { return }
    isPumping = true
    world.schedule(at: first.arrival) { [self] in
      isPumping = false
      if path?.isOpen == false { return stall() }
      while let first = underWay.first, first.arrival <= world.now {
        underWay.removeFirst()
        deliver(first.segment)
      }
      pump()
    }
  }

  /// Nothing gets through: it is sent again and again, until the partition is over or the kernel gives up.
  private func stall() {
    guard let path, !underWay.isEmpty else { return }
    isStalled = true
    stalls += 1
    let number = stalls
    path.whenOpen { [self] in
      guard isStalled, stalls == number else { return }
      isStalled = false
      lastArrival = max(lastArrival, path.arrival(of: 0))
      underWay = Deque(underWay.map { (max($0.arrival, lastArrival), $0.segment) })
      pump()
    }
    world.schedule(after: Flow.timeout) { [self] in
      guard isStalled, stalls == number else { return }
      underWay.removeAll()
      source?.broke(.timedOut)
    }
  }

  // MARK: Arrival

  private func deliver(_ segment: Segment) {
    if case .established(let queue, let end) = segment {
      if !queue.add(end) { refuse() }
      return
    }
    guard let target else {
      // The connection is gone from there, by a close or a crash. Only who sends something is told.
      switch segment {
      case .bytes, .probe: refuse()
      default: break
      }
      return
    }
    switch segment {
    case .bytes(let bytes): target.received(bytes)
    case .end: target.receivedEnd()
    case .reset: target.broke(.connectionReset)
    case .closed: target.peerClosed()
    case .probe, .established: break
    }
  }

  /// The host of the other end has crashed. A sender that waits for room asks for it, and so will hear of that; as long as the
  /// host was up there was no need to have it ask.
  func targetHasCrashed() {
    // Who is told that there is no room waits until there is plenty.
    if !isWritable, underWay.isEmpty { put(.probe) }
  }

  /// Tells the sender that there is no such connection.
  private func refuse() {
    discard()
    if let reverse {
      reverse.put(.reset)
    } else if let back = path?.back {
      let source = source
      // Were the answer lost, the sender would send again, and get another one.
      back.carryReliably { source?.broke(.connectionReset) }
    } else {
      source?.broke(.brokenPipe)
    }
  }

  /// The other end has read so many bytes, for which there is room again once the sender has heard of it.
  func consumed(_ count: Int) {
    func free() {
      outstanding -= count
      source?.changed()
    }
    guard let delay = path?.back.delay(), delay > 0 else { return free() }
    world.schedule(after: delay) { free() }
  }
}
