// SPDX-License-Identifier: Apache-2.0
import AsyncIO
import SystemPackage

/// A poller of simulated descriptors, level-triggered as epoll is. It never waits: the world lets time pass.
final class SimulatedPoller: Poller {
  private struct Registration {
    let file: OpenFile
    var interest: Interest
    var generation: UInt32
  }

  private let kernel: SimulatedKernel
  private var registrations: [Int32: Registration] = [:]
  /// Those that may be ready, in the order in which they became so. What is ready stays, since it is told of again.
  private var candidates: [Int32] = []
  private var isCandidate: Set<Int32> = []
  let waker: any Waker = SilentWaker()

  /// How many events one wait reports at the most.
  private static let capacity = 512

  init(_ kernel: SimulatedKernel) { self.kernel = kernel }

  func add(_ descriptor: FileDescriptor, _ interest: Interest, generation: UInt32) throws(Errno) {
    try kernel.enter(.watch, descriptor)
    guard let file = kernel.files[descriptor.rawValue] else { throw .badFileDescriptor }
    guard registrations[descriptor.rawValue] == nil else { throw .fileExists }
    registrations[descriptor.rawValue] = Registration(file: file, interest: interest, generation: generation)
    file.watch(self, as: descriptor.rawValue)
    look(at: descriptor.rawValue)
  }

  func modify(_ descriptor: FileDescriptor, _ interest: Interest, generation: UInt32) throws(Errno) {
    guard kernel.files[descriptor.rawValue] != nil else { throw .badFileDescriptor }
    guard registrations[descriptor.rawValue] != nil else { throw .noSuchFileOrDirectory }
    registrations[descriptor.rawValue]?.interest = interest
    registrations[descriptor.rawValue]?.generation = generation
    look(at: descriptor.rawValue)
  }

  func remove(_ descriptor: FileDescriptor) throws(Errno) {
    guard kernel.files[descriptor.rawValue] != nil else { throw .badFileDescriptor }
    guard registrations[descriptor.rawValue] != nil else { throw .noSuchFileOrDirectory }
    forget(descriptor.rawValue)
  }

  /// The descriptor was closed: as with epoll, that ends its registration.
  func forget(_ number: Int32) {
    registrations.removeValue(forKey: number)?.file.unwatch(self, as: number)
  }

  /// Looks whether a descriptor is ready when it is next asked.
  func look(at number: Int32) {
    if isCandidate.insert(number).inserted { candidates.append(number) }
  }

  private func readiness(of number: Int32) -> Interest {
    guard let registration = registrations[number] else { return [] }
    let ready = registration.file.readiness
    // A hang-up is told whatever was asked for.
    return ready.contains(.hangUp) ? ready : ready.intersection(registration.interest)
  }

  /// Whether a wait would report anything. Asked before each turn of the world, so that it looks no further than it has to.
  var hasReady: Bool {
    while let last = candidates.last {
      if !readiness(of: last).isEmpty { return true }
      candidates.removeLast()
      isCandidate.remove(last)
    }
    return false
  }

  private func dropIdle() {
    candidates.removeAll { number in
      let isIdle = readiness(of: number).isEmpty
      if isIdle { isCandidate.remove(number) }
      return isIdle
    }
  }

  func wait(timeout: Int64?, into events: inout [PollEvent]) throws(Errno) {
    try kernel.enter(.wait, nil)
    dropIdle()
    var reported = candidates
    let limit = kernel.world.choices.share(of: SimulatedPoller.capacity)
    kernel.world.choices.shuffle(&reported, first: limit)
    for number in reported.prefix(limit) {
      guard let registration = registrations[number] else { continue }
      let ready = readiness(of: number)
      kernel.note(.ready, Int64(number), Int64(ready.rawValue))
      events.append(PollEvent(descriptor: number, generation: registration.generation, ready: ready))
    }
  }

  func close() {
    for number in Array(registrations.keys) { forget(number) }
    candidates.removeAll()
    isCandidate.removeAll()
  }
}

/// Nobody sleeps in a simulated poller: the world looks at the mailboxes by itself.
private struct SilentWaker: Waker {
  func wake() {}
}
