// SPDX-License-Identifier: Apache-2.0
import SystemPackage
import Testing

@testable import AsyncIO

@Suite struct ReadinessTableTests {
  private final class Watcher: ReadinessWatcher {}

  private let fd = FileDescriptor(rawValue: 7)
  private let watcher = Watcher()

  private func event(_ generation: UInt32, _ ready: Interest) -> PollEvent {
    PollEvent(descriptor: 7, generation: generation, ready: ready)
  }

  @Test func changesForThePoller() {
    let table = Boxed(ReadinessTable())
    table.claim(fd, for: watcher)
    #expect(table.value.watchedCount == 0)
    #expect(table.setInterest(.read, for: fd) == .add(.read, generation: 1))
    #expect(table.value.watchedCount == 1)
    #expect(table.setInterest(.read, for: fd) == .none)
    #expect(table.setInterest([.read, .write], for: fd) == .modify([.read, .write], generation: 1))
    #expect(table.setInterest(.write, for: fd) == .modify(.write, generation: 1))
    #expect(table.value.watchedCount == 1)
    #expect(table.setInterest([], for: fd) == .remove)
    #expect(table.setInterest([], for: fd) == .none)
    #expect(table.value.watchedCount == 0)
    #expect(table.value.watcher(of: fd) === watcher)
  }

  @Test("A claim holds until the number is released, has another owner, or the table is emptied")
  func claims() {
    var table = ReadinessTable()
    let first = table.claim(fd, for: watcher)
    #expect(table.isValid(first, to: fd))
    let second = table.claim(fd, for: Watcher())
    #expect(!table.isValid(first, to: fd) && table.isValid(second, to: fd))
    _ = table.release(fd)
    #expect(!table.isValid(second, to: fd))
    let third = table.claim(fd, for: watcher)
    #expect(table.isValid(third, to: fd) && !table.isValid(second, to: fd))
    _ = table.removeAll()
    #expect(!table.isValid(third, to: fd))
    // Also where the table has no place for the number, and where the latest owner has let go.
    #expect(!table.isValid(.void, to: fd) && DescriptorClaim.void.isVoid && !first.isVoid)
  }

  @Test func deliversWhatIsWanted() {
    let table = Boxed(ReadinessTable())
    table.claim(fd, for: watcher)
    _ = table.setInterest(.read, for: fd)
    #expect(table.value.recipient(of: event(1, [.read, .write]))?.ready == .read)
    #expect(table.value.recipient(of: event(1, .read))?.watcher.object === watcher)
    #expect(table.value.recipient(of: event(1, .write)) == nil)
    _ = table.setInterest([], for: fd)
    #expect(table.value.recipient(of: event(1, .read)) == nil)
    #expect(table.value.recipient(of: PollEvent(descriptor: 8, generation: 1, ready: .read)) == nil)
  }

  @Test("each owner of a number has a generation, and never hears of another's events")
  func generations() {
    let table = Boxed(ReadinessTable())
    table.claim(fd, for: watcher)
    _ = table.setInterest(.read, for: fd)
    #expect(table.release(fd) == .remove)
    #expect(table.release(fd) == .none)
    #expect(table.value.watcher(of: fd) == nil)
    #expect(table.value.recipient(of: event(1, .read)) == nil)
    let next = Watcher()
    table.claim(fd, for: next)
    #expect(table.setInterest(.read, for: fd) == .add(.read, generation: 2))
    #expect(table.value.recipient(of: event(1, .read)) == nil)
    #expect(table.value.recipient(of: event(2, .read))?.watcher.object === next)
  }

  @Test("a claim ends what an owner that said nothing had asked for")
  func claimOverClaim() {
    let table = Boxed(ReadinessTable())
    table.claim(fd, for: watcher)
    _ = table.setInterest(.read, for: fd)
    let next = Watcher()
    table.claim(fd, for: next)
    #expect(table.value.watchedCount == 0)
    #expect(table.value.recipient(of: event(1, .read)) == nil)
    #expect(table.value.recipient(of: event(2, .read)) == nil)
    #expect(table.setInterest(.write, for: fd) == .add(.write, generation: 2))
    #expect(table.value.watchedCount == 1)
  }

  @Test func unknownNumbers() {
    let table = Boxed(ReadinessTable())
    #expect(table.value.watcher(of: FileDescriptor(rawValue: -1)) == nil)
    #expect(table.value.watcher(of: FileDescriptor(rawValue: 10_000)) == nil)
    #expect(table.release(FileDescriptor(rawValue: -1)) == .none)
    #expect(table.release(FileDescriptor(rawValue: 10_000)) == .none)
  }

  @Test func removeAll() {
    let table = Boxed(ReadinessTable())
    let other = Watcher()
    table.claim(FileDescriptor(rawValue: 9), for: other)
    table.claim(fd, for: watcher)
    _ = table.setInterest(.read, for: fd)
    let owners = table.removeAll()
    #expect(owners.count == 2 && owners[0] === watcher && owners[1] === other)
    #expect(table.value.watchedCount == 0 && table.value.watcher(of: fd) == nil)
  }
}

// An expectation cannot change a value, only an object.
extension Boxed<ReadinessTable> {
  fileprivate func claim(_ descriptor: FileDescriptor, for watcher: ReadinessWatcher) {
    value.claim(descriptor, for: watcher)
  }
  fileprivate func setInterest(_ interest: Interest, for descriptor: FileDescriptor) -> ReadinessTable.Change {
    value.setInterest(interest, for: descriptor)
  }
  fileprivate func release(_ descriptor: FileDescriptor) -> ReadinessTable.Change { value.release(descriptor) }
  fileprivate func removeAll() -> [ReadinessWatcher] { value.removeAll() }
}
