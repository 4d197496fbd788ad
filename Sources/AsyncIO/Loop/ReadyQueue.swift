// SPDX-License-Identifier: Apache-2.0
import DequeModule

/// What runs next, first in, first out: callbacks, what a timer has woken, calls from other threads and Swift jobs in one order,
/// with a mark where the loop shall stop.
///
/// It is not copied, so that nobody has to look whether it was.
struct ReadyQueue: ~Copyable {
  enum Entry: ~Copyable {
    case callback(ScheduledCall)
    case wakeUp(any Wakeable)
    case remoteCall(any RemoteCall)
    case job(UnownedJob, JobExecutor)
  }

  private var entries = UniqueDeque<Entry>()
  /// How many entries were ever taken: the position of the first one that is left.
  private(set) var head = 0
  /// The position that a run goes up to, no further: everything that was scheduled before the stop lies below it.
  private(set) var stopMark: Int?

  /// The position behind the last entry.
  var tail: Int { head + entries.count }
  var isEmpty: Bool { entries.isEmpty }
  var count: Int { entries.count }

  mutating func append(_ entry: consuming Entry) { entries.append(entry) }

  /// Adds what became ready by a poll or by the clock. Where a stop was asked for, it goes in front of the mark: it was due
  /// before the stop, and only the loop has learnt of it later.
  mutating func appendDue(_ entry: consuming Entry) {
    guard let mark = stopMark else {
      entries.append(entry)
      return
    }
    entries.insert(entry, at: mark - head)
    stopMark = mark + 1
  }

  /// Ends the run behind the present last entry. An earlier stop stands.
  mutating func markStop() {
    if stopMark == nil { stopMark = tail }
  }

  /// Takes the first entry, if its position is below both the limit and the mark.
  mutating func next(before limit: Int) -> Entry? {
    // Where there is a mark, it stands in for the limit of the batch, be it in front of that or behind.
    guard head < stopMark ?? limit, let entry = entries.popFirst() else { return nil }
    head += 1
    prefetchLater()
    return entry
  }

  /// Has the processor fetch a callback that is due a little later. Of many that wait, timers above all, few are in the cache, and
  /// to wait for each in its turn would cost as much as its run.
  @inline(__always)
  private func prefetchLater() {
    let distance = 4
    guard entries.count > distance else { return }
    switch entries[distance] {
    case .callback(let call): prefetch(call)
    case .remoteCall(let call): prefetch(call)
    default: break
    }
  }

  /// Takes the first entry, if it is a job; not while a stop stands, which sets its own limit.
  mutating func nextJob() -> Entry? {
    guard stopMark == nil, !entries.isEmpty else { return nil }
    let isJob =
      switch entries[0] {
      case .job: true
      default: false
      }
    return isJob ? next(before: tail) : nil
  }

  /// Whether everything in front of the mark was taken; the mark is then used up.
  mutating func takeStop() -> Bool {
    guard let mark = stopMark, head >= mark else { return false }
    stopMark = nil
    return true
  }

  mutating func removeAll() -> UniqueDeque<Entry> {
    var dropped = UniqueDeque<Entry>()
    swap(&dropped, &entries)
    head += dropped.count
    stopMark = nil
    return dropped
  }
}
