// SPDX-License-Identifier: Apache-2.0
import SystemPackage

/// Somebody who wants to know when a descriptor is ready.
///
/// A class rather than a protocol, since the call of a class's method can be made without a reference of its own. A program has
/// no use for it.
public class ReadinessWatcher {
  init() {}

  /// Called by the loop between polls, with what was asked for and came true.
  func descriptorIsReady(_ ready: Interest) {}

  /// Whether the watcher owns the descriptor, so that nobody else may watch it.
  var ownsDescriptor: Bool { true }

  /// Somebody else watches the number from now on: it was handed on, or closed without a word and used again.
  func descriptorWasTaken() {}

  /// The loop was closed: let go of what belongs to it.
  func loopWasClosed() {}
}

/// The ownership of a descriptor's number. It ends by itself when somebody else claims the number: the descriptor was
/// closed behind its owner's back, and what is done for the one must not meet the other.
struct DescriptorClaim {
  /// No ownership: one that has not begun, or was given up.
  static let void = DescriptorClaim(generation: 0)

  fileprivate let generation: UInt32

  var isVoid: Bool { generation == 0 }
}

/// Who watches which descriptor, and for what.
///
/// A descriptor's number is used again as soon as it is closed. So each owner of a number gets a generation, events
/// carry it, and an event for an earlier owner finds nobody.
struct ReadinessTable {
  /// What has to be told to the poller.
  enum Change: Equatable {
    case none
    case add(Interest, generation: UInt32)
    case modify(Interest, generation: UInt32)
    case remove
  }

  private struct Slot {
    /// Who is told; the table keeps it alive until it lets go.
    var watcher: ReadinessWatcher?
    /// Counts the owners of the number, from 1: zero is the poller's own.
    var generation: UInt32 = 0
    /// What the poller was told to watch for.
    var interest: Interest = []
  }

  /// Indexed by descriptor.
  private var slots: [Slot] = []
  /// How many descriptors the poller watches.
  private(set) var watchedCount = 0

  func watcher(of descriptor: FileDescriptor) -> ReadinessWatcher? {
    let index = Int(descriptor.rawValue)
    return slots.indices.contains(index) ? slots[index].watcher : nil
  }

  func hasRoom(for descriptor: FileDescriptor) -> Bool { slots.indices.contains(Int(descriptor.rawValue)) }

  /// The watcher that an event is for, and what it now wants of it; nil when it came too late.
  func recipient(of event: PollEvent) -> (watcher: LentReference<ReadinessWatcher>, ready: Interest)? {
    let index = Int(event.descriptor)
    guard index < slots.count, slots[index].generation == event.generation, let watcher = slots[index].watcher else {
      return nil
    }
    let ready = slots[index].interest.intersection(event.ready)
    return ready.isEmpty ? nil : (LentReference(watcher), ready)
  }

  /// Makes the watcher the owner of the number. What an earlier one had asked for is void: it was closed without a
  /// word, or the number would not be free.
  @discardableResult
  mutating func claim(_ descriptor: FileDescriptor, for watcher: ReadinessWatcher) -> DescriptorClaim {
    let index = Int(descriptor.rawValue)
    while slots.count <= index { slots.append(Slot()) }
    if !slots[index].interest.isEmpty { watchedCount -= 1 }
    let generation = max(slots[index].generation &+ 1, 1)
    slots[index] = Slot(watcher: watcher, generation: generation)
    return DescriptorClaim(generation: generation)
  }

  /// Whether the number is still the claim's: not released, and nobody else's meanwhile.
  func isValid(_ claim: DescriptorClaim, to descriptor: FileDescriptor) -> Bool {
    let index = Int(descriptor.rawValue)
    return index < slots.count && slots[index].generation == claim.generation && slots[index].watcher != nil
  }

  /// Changes what the owner wants to know.
  mutating func setInterest(_ interest: Interest, for descriptor: FileDescriptor) -> Change {
    let index = Int(descriptor.rawValue)
    let old = slots[index].interest
    guard interest != old else { return .none }
    slots[index].interest = interest
    let generation = slots[index].generation
    if interest.isEmpty {
      watchedCount -= 1
      return .remove
    }
    guard old.isEmpty else { return .modify(interest, generation: generation) }
    watchedCount += 1
    return .add(interest, generation: generation)
  }

  /// Ends the ownership.
  mutating func release(_ descriptor: FileDescriptor) -> Change {
    let index = Int(descriptor.rawValue)
    guard slots.indices.contains(index), slots[index].watcher != nil else { return .none }
    let change = setInterest([], for: descriptor)
    slots[index].watcher = nil
    return change
  }

  /// Ends every ownership, and tells whose they were.
  mutating func removeAll() -> [ReadinessWatcher] {
    let watchers = slots.compactMap(\.watcher)
    slots.removeAll()
    watchedCount = 0
    return watchers
  }
}
