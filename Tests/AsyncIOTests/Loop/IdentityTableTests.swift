// SPDX-License-Identifier: Apache-2.0
import struct AsyncIOTesting.SeededGenerator
import Testing

@testable import AsyncIO

@Suite struct IdentityTableTests {
  @Test("it holds what a dictionary does, through growth, collisions and gaps", arguments: [1, 2, 3] as [UInt64])
  func likeADictionary(seed: UInt64) {
    var random = SeededGenerator(seed: seed)
    var table = IdentityTable<Int>()
    var model: [UInt: Int] = [:]
    // Addresses as an allocator hands them out, close to one another, few enough to meet again.
    let identities = (0..<200).map { UInt(0x7f00_0000_0000) + $0 * 16 * UInt(random.next() % 3 + 1) }
    for step in 0..<10_000 {
      let identity = identities.randomElement(using: &random)!
      // Full and empty in turn.
      let fills = (step / 500).isMultiple(of: 2)
      if random.next() % 4 == 0 ? !fills : fills {
        table[identity] = step
        model[identity] = step
      } else {
        table[identity] = nil
        model[identity] = nil
      }
      guard table.count == model.count, table[identity] == model[identity] else {
        Issue.record("step \(step) of seed \(seed): \(table.count) entries for \(model.count)")
        return
      }
      if step % 100 == 0, let wrong = identities.first(where: { table[$0] != model[$0] }) {
        Issue.record("step \(step) of seed \(seed): \(wrong) has another value")
        return
      }
    }
  }
}
