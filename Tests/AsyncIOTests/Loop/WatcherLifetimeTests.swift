// SPDX-License-Identifier: Apache-2.0
import SystemPackage
import Testing

@testable import AsyncIO

@Suite("Readiness: how long a watcher lives")
struct WatcherLifetimeTests {
  private final class Watcher: ReadinessWatcher {
    private let body: () -> Void
    init(_ body: @escaping () -> Void) { self.body = body }
    override func descriptorIsReady(_ ready: Interest) { body() }
  }

  @Test(
    "a watcher that lets go, or is replaced, while it is told lives until all were told, and no longer",
    arguments: [false, true])
  func releasedWhileTold(isReplaced: Bool) throws {
    try withLoop { loop, kernel in
      let (near, far) = try Socket.pair()
      try far.send([1])
      var calls = 0
      weak var told: Watcher?
      do {
        let watcher = Watcher { [unowned loop] in
          calls += 1
          if isReplaced { loop.claim(near.descriptor, for: Watcher {}) } else { loop.release(near.descriptor) }
          #expect(told != nil)
        }
        told = watcher
        loop.claim(near.descriptor, for: watcher)
        try loop.setInterest(.read, for: near.descriptor)
      }
      #expect(told != nil, "the table keeps it")
      loop.callSoon { loop.stop() }
      try loop.runForever()
      #expect(calls == 1 && told == nil)
      loop.release(near.descriptor)
    }
  }

  @Test("what goes with a watcher's end may watch the same descriptor")
  func reentrantEnd() throws {
    try withLoop { loop, kernel in
      let (near, far) = try Socket.pair()
      try far.send([1])
      var calls = 0
      do {
        let end = ReleaseProbe { [unowned loop] in _ = try? loop.addReader(near.descriptor) { calls += 1 } }
        loop.claim(
          near.descriptor,
          for: Watcher { [unowned loop] in withExtendedLifetime(end) { loop.release(near.descriptor) } })
        try loop.setInterest(.read, for: near.descriptor)
      }
      for _ in 0..<2 {
        loop.callSoon { loop.stop() }
        try loop.runForever()
      }
      #expect(calls == 1)
      try loop.removeReader(near.descriptor)
    }
  }
}
