// SPDX-License-Identifier: Apache-2.0
import Dispatch
import Testing

@testable import AsyncIO

@Suite struct BlockingJobTests {
  @Test("a job runs once") func runsOnce() {
    let log = Shared<[String]>([])
    let job = BlockingJob({ log.withLock { $0.append("run") } }, onCancel: { log.withLock { $0.append("cancelled") } })
    job.run()
    job.run()
    #expect(!job.cancel() && !job.isCancelled)
    #expect(log.current == ["run"])
  }

  @Test("a job that was cancelled does not run, and tells so once") func cancelled() {
    let log = Shared<[String]>([])
    let job = BlockingJob({ log.withLock { $0.append("run") } }, onCancel: { log.withLock { $0.append("cancelled") } })
    #expect(job.cancel() && job.isCancelled)
    #expect(!job.cancel() && job.isCancelled)
    job.run()
    #expect(log.current == ["cancelled"])
  }

  @Test("a job that has begun cannot be cancelled any more") func begun() {
    let answer = OneShot<Bool>()
    let place = Shared<BlockingJob?>(nil)
    let job = BlockingJob { answer.set(place.current?.cancel() ?? true) }
    place.withLock { $0 = job }
    job.run()
    #expect(answer.current == false)
    place.withLock { $0 = nil }
  }

  @Test("a job that is dropped tells that it will not run") func dropped() {
    let count = Shared(0)
    do { _ = BlockingJob({}, onCancel: { count.withLock { $0 += 1 } }) }
    #expect(count.current == 1)
    // One that has run does not.
    do { BlockingJob({}, onCancel: { count.withLock { $0 += 1 } }).run() }
    #expect(count.current == 1)
  }

  @Test("what the closures captured is released at the end, however long the job is kept", arguments: [true, false])
  func releases(runs: Bool) {
    let released = Shared(0)
    final class Witness: Sendable {
      let released: Shared<Int>
      init(_ released: Shared<Int>) { self.released = released }
      deinit { released.withLock { $0 += 1 } }
      func touch() {}
    }
    func make() -> BlockingJob {
      let (first, second) = (Witness(released), Witness(released))
      return BlockingJob({ first.touch() }, onCancel: { second.touch() })
    }
    let job = make()
    #expect(released.current == 0)
    if runs { job.run() } else { job.cancel() }
    #expect(released.current == 2)
    withExtendedLifetime(job) {}
  }

  @Test("of a run and a cancellation at the same time, one wins") func race() {
    for _ in 0..<500 {
      let outcome = Shared<[String]>([])
      let job = BlockingJob(
        { outcome.withLock { $0.append("run") } }, onCancel: { outcome.withLock { $0.append("cancelled") } })
      DispatchQueue.concurrentPerform(iterations: 2) { if $0 == 0 { job.run() } else { job.cancel() } }
      let ended = outcome.current
      #expect(ended == (job.isCancelled ? ["cancelled"] : ["run"]))
    }
  }
}
