// SPDX-License-Identifier: Apache-2.0

/// Values by the identities of native tasks, each of which is looked up whenever its task waits.
///
/// The standard dictionary defends itself against keys that an enemy has chosen. These are addresses that nobody chooses, and
/// that defence made up a tenth of an await.
struct IdentityTable<Value> {
  private struct Entry {
    /// Zero, which no task has, for an entry that is free.
    var identity: UInt = 0
    var value: Value?
  }

  /// As many as a power of two, at most two thirds of them in use.
  private var entries = [Entry](repeating: Entry(), count: 16)
  private(set) var count = 0

  private var mask: Int { entries.count - 1 }

  /// All of them, in no order.
  var values: [Value] { entries.compactMap(\.value) }

  subscript(identity: UInt) -> Value? {
    get {
      let index = index(of: identity)
      return entries[index].identity == identity ? entries[index].value : nil
    }
    set {
      if let newValue { insert(newValue, identity) } else { remove(identity) }
    }
  }

  /// Where the entry is, or would be.
  private func index(of identity: UInt) -> Int {
    var index = home(of: identity)
    while entries[index].identity != identity, entries[index].identity != 0 { index = (index + 1) & mask }
    return index
  }

  /// Where the search for it begins. Addresses differ in their middle bits, which the multiplication spreads upwards.
  private func home(of identity: UInt) -> Int {
    Int(truncatingIfNeeded: (identity &* 0x9E37_79B9_7F4A_7C15) >> 32) & mask
  }

  private mutating func insert(_ value: Value, _ identity: UInt) {
    var index = index(of: identity)
    if entries[index].identity != identity {
      if (count + 1) * 3 > entries.count * 2 {
        grow()
        index = self.index(of: identity)
      }
      count += 1
    }
    entries[index] = Entry(identity: identity, value: value)
  }

  private mutating func grow() {
    let old = entries
    entries = [Entry](repeating: Entry(), count: 2 * old.count)
    for entry in old where entry.identity != 0 { entries[index(of: entry.identity)] = entry }
  }

  /// Frees the entry, and moves those behind it that would not be found across the gap.
  private mutating func remove(_ identity: UInt) {
    var gap = index(of: identity)
    guard entries[gap].identity == identity else { return }
    count -= 1
    var next = (gap + 1) & mask
    while entries[next].identity != 0 {
      let home = home(of: entries[next].identity)
      // Whether the way from its home to its place goes by the gap.
      if (next - home) & mask >= (next - gap) & mask {
        entries[gap] = entries[next]
        gap = next
      }
      next = (next + 1) & mask
    }
    entries[gap] = Entry()
  }
}
