// SPDX-License-Identifier: Apache-2.0
import Testing

@testable import AsyncIOProcessPool

@Suite struct PoolStateTests {
  @Test("a worker is started for each job, up to the limit; a job goes to one that is ready") func starts() {
    var state = PoolState(maxWorkers: 2)
    #expect(state.submit(1) == [.start(0)])
    #expect(state.submit(2) == [.start(1)])
    #expect(state.submit(3) == [])
    #expect(state.workerIsReady(1) == [.send(1, 1)])
    #expect(state.workerIsReady(0) == [.send(2, 0)])
    #expect(state.workerIsDone(0, 2) == [.send(3, 0)])
    #expect(!state.isDone)
    #expect(state.workerIsDone(1, 1) == [])
    #expect(state.workerIsDone(0, 3) == [])
    #expect(state.isDone && state.workerCount == 2)
  }

  @Test("an answer to another job than the worker's own is none") func foreignAnswers() {
    var state = PoolState(maxWorkers: 2)
    #expect(state.workerIsDone(0, 1) == nil)
    _ = state.submit(1)
    #expect(state.workerIsDone(0, 1) == nil, "it has not even said hello")
    _ = state.workerIsReady(0)
    _ = state.submit(2)
    _ = state.workerIsReady(1)
    #expect(state.workerIsDone(0, 2) == nil && state.workerIsDone(1, 1) == nil)
    #expect(state.workerIsDone(0, 1) == [])
    #expect(state.workerIsDone(0, 1) == nil, "a second answer")
    #expect(state.submit(3) == [.send(3, 0)])
    #expect(state.workerIsDone(0, 1) == nil)
    #expect(state.workerIsDone(0, 3) == [])
  }

  @Test("an idle worker is used before another is started, the one that was busy last first") func reuses() {
    var state = PoolState(maxWorkers: 9)
    _ = state.submit(1)
    _ = state.submit(2)
    _ = state.workerIsReady(0)
    _ = state.workerIsReady(1)
    _ = state.workerIsDone(1, 2)
    _ = state.workerIsDone(0, 1)
    #expect(state.submit(3) == [.send(3, 0)])
    #expect(state.submit(4) == [.send(4, 1)])
    #expect(state.submit(5) == [.start(2)])
    // One of the others is first: the new one has nothing to do, and stays.
    #expect(state.workerIsDone(0, 3) == [.send(5, 0)])
    #expect(state.workerIsReady(2) == [])
    #expect(state.submit(6) == [.send(6, 2)])
  }

  @Test("a worker that dies loses its job, and is replaced when it is needed") func replaced() {
    var state = PoolState(maxWorkers: 1)
    _ = state.submit(1)
    _ = state.submit(2)
    _ = state.workerIsReady(0)
    #expect(state.workerHasEnded(0) == [.lost(1), .start(1)])
    #expect(state.workerHasEnded(0) == [])
    #expect(state.workerIsReady(1) == [.send(2, 1)])
    _ = state.workerIsDone(1, 2)
    // An idle one that dies is not missed before there is a job.
    #expect(state.workerHasEnded(1) == [])
    #expect(state.submit(3) == [.start(2)])
  }

  @Test("a worker that does not start fails what waits, unless there are others") func failedStart() {
    var state = PoolState(maxWorkers: 3)
    for job in 1...4 { _ = state.submit(job) }
    #expect(state.workerHasEnded(2) == [])
    _ = state.workerIsReady(0)
    #expect(state.workerHasEnded(1) == [])
    // The busy one goes on with the queue.
    #expect(state.workerIsDone(0, 1)?.first == .send(2, 0))
    #expect(state.workerHasEnded(0).first == .lost(2))

    var lonely = PoolState(maxWorkers: 1)
    _ = lonely.submit(1)
    _ = lonely.submit(2)
    #expect(lonely.workerHasEnded(0) == [.fail(1), .fail(2)])
    #expect(lonely.isDone)
    #expect(lonely.submit(3) == [.start(1)])
  }

  @Test("a cancelled job is not handed out; one that is being done takes its worker with it") func cancel() {
    var state = PoolState(maxWorkers: 1)
    for job in 1...3 { _ = state.submit(job) }
    #expect(state.cancel(2) == [])
    #expect(state.workerIsReady(0) == [.send(1, 0)])
    #expect(state.cancel(1) == [.kill(0), .start(1)])
    #expect(state.cancel(1) == [])
    // The killed one has nothing more to say.
    #expect(state.workerIsDone(0, 1) == nil)
    #expect(state.workerIsReady(0) == [] && state.workerHasEnded(0) == [])
    #expect(state.workerIsReady(1) == [.send(3, 1)])
    _ = state.workerIsDone(1, 3)
    #expect(state.cancel(3) == [])
    #expect(state.isDone && state.workerCount == 1)
  }

  @Test("cancelling all that waits leaves a worker that was started for it idle") func cancelWhileStarting() {
    var state = PoolState(maxWorkers: 1)
    _ = state.submit(1)
    #expect(state.cancel(1) == [])
    #expect(state.isDone)
    #expect(state.workerIsReady(0) == [])
    #expect(state.submit(2) == [.send(2, 0)])
  }

  @Test("many cancelled jobs behind one that is being done do not slow the rest down") func manyCancelled() {
    var state = PoolState(maxWorkers: 1)
    _ = state.submit(0)
    _ = state.workerIsReady(0)
    for job in 1...100_000 {
      _ = state.submit(job)
      if job % 1000 != 0 { _ = state.cancel(job) }
    }
    var order: [Int] = []
    var next: PoolState.JobID? = 0
    while let job = next {
      order.append(job)
      next = state.workerIsDone(0, job)?.compactMap { if case .send(let job, _) = $0 { job } else { nil } }.first
    }
    #expect(order == (0...100).map { $0 * 1000 })
  }

  @Test("a shutdown lets what waits be done, and dismisses workers as they become idle") func shutdown() {
    var state = PoolState(maxWorkers: 2)
    for job in 1...3 { _ = state.submit(job) }
    _ = state.workerIsReady(0)
    _ = state.workerIsReady(1)
    #expect(state.shutdown(cancelPending: false) == [])
    #expect(state.isShutDown && !state.isDone)
    #expect(state.workerIsDone(0, 1) == [.send(3, 0)])
    #expect(state.workerIsDone(1, 2) == [.dismiss(1)])
    #expect(state.workerIsDone(0, 3) == [.dismiss(0)])
    #expect(state.isDone && state.workerCount == 0)
  }

  @Test("a shutdown dismisses idle workers at once, and ends those that are not needed any more") func shutdownIdle() {
    var state = PoolState(maxWorkers: 3)
    _ = state.submit(1)
    _ = state.submit(2)
    _ = state.workerIsReady(0)
    _ = state.workerIsDone(0, 1)
    _ = state.workerIsDone(0, 2)
    // 1 still starts, for nothing.
    #expect(state.shutdown(cancelPending: false) == [.dismiss(0), .kill(1)])
    #expect(state.shutdown(cancelPending: false) == [])
  }

  @Test("a shutdown can cancel what waits, in order") func shutdownCancels() {
    var state = PoolState(maxWorkers: 1)
    for job in 1...4 { _ = state.submit(job) }
    _ = state.workerIsReady(0)
    _ = state.cancel(3)
    #expect(state.shutdown(cancelPending: true) == [.cancel(2), .cancel(4)])
    #expect(state.workerIsDone(0, 1) == [.dismiss(0)])
  }

  @Test("what waits at a shutdown still gets a new worker when one dies") func shutdownAndDeath() {
    var state = PoolState(maxWorkers: 1)
    _ = state.submit(1)
    _ = state.submit(2)
    _ = state.workerIsReady(0)
    _ = state.shutdown(cancelPending: false)
    #expect(state.workerHasEnded(0) == [.lost(1), .start(1)])
    #expect(state.workerIsReady(1) == [.send(2, 1)])
    #expect(state.workerHasEnded(1) == [.lost(2)])
    #expect(state.isDone && state.workerCount == 0)
  }

  @Test("terminating cancels everything and kills everyone") func terminate() {
    var state = PoolState(maxWorkers: 2)
    for job in 1...3 { _ = state.submit(job) }
    _ = state.workerIsReady(1)
    let actions = state.terminate()
    #expect(Set(actions.map { "\($0)" }) == ["cancel(1)", "cancel(2)", "cancel(3)", "kill(0)", "kill(1)"])
    #expect(actions.count == 5 && state.isDone && state.workerCount == 0 && state.isShutDown)
    #expect(state.terminate() == [])
  }
}
