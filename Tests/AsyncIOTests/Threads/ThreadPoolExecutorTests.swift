// SPDX-License-Identifier: Apache-2.0
import Dispatch
import Glibc
import SystemPackage
import Testing

@testable import AsyncIO

@Suite struct ThreadPoolExecutorTests {
  @Test("a thread is made for each job that finds none idle, up to the limit") func growsToLimit() throws {
    let pool = ThreadPoolExecutor(maxWorkers: 3)
    let gate = Gate()
    let begun = DispatchSemaphore(value: 0)
    let ended = DispatchSemaphore(value: 0)
    let running = Shared((now: 0, most: 0))
    #expect(pool.counts.threads == 0)
    for number in 1...8 {
      try pool.submit {
        running.withLock {
          $0.now += 1
          $0.most = max($0.most, $0.now)
        }
        begun.signal()
        gate.pass()
        running.withLock { $0.now -= 1 }
        ended.signal()
      }
      #expect(pool.counts.threads == min(number, 3))
    }
    for _ in 0..<3 { try arrives(begun) }
    #expect(pool.counts.queued == 5)
    gate.open()
    for _ in 0..<8 { try arrives(ended) }
    #expect(running.withLock { $0.most } == 3)
  }

  @Test("a job goes to an idle thread, rather than to a new one") func reusesIdleThread() throws {
    let pool = ThreadPoolExecutor(maxWorkers: 1000)
    let done = DispatchSemaphore(value: 0)
    for _ in 0..<50 {
      try pool.submit { done.signal() }
      try arrives(done)
      try eventually { pool.counts.idle == 1 }
      #expect(pool.counts.threads == 1)
    }
  }

  @Test("one idle thread takes one job; the others get new ones") func idleThreadTakesOne() throws {
    for _ in 0..<30 {
      let pool = ThreadPoolExecutor(maxWorkers: 1000)
      let done = DispatchSemaphore(value: 0)
      try pool.submit { done.signal() }
      try arrives(done)
      try eventually { pool.counts.idle == 1 }
      let gate = Gate()
      for _ in 0..<6 {
        try pool.submit {
          gate.pass()
          done.signal()
        }
      }
      #expect(pool.counts.threads == 6)
      gate.open()
      for _ in 0..<6 { try arrives(done) }
    }
  }

  @Test("jobs begin in the order in which they came") func order() throws {
    let pool = ThreadPoolExecutor(maxWorkers: 1)
    let order = Shared<[Int]>([])
    for number in 0..<200 { try pool.submit { order.withLock { $0.append(number) } } }
    pool.shutdown()
    #expect(order.current == Array(0..<200))
  }

  @Test("a job that hangs holds up no other, as long as there are threads") func hangingJob() throws {
    let pool = ThreadPoolExecutor(maxWorkers: 2)
    let gate = Gate()
    try pool.submit { gate.pass() }
    let done = DispatchSemaphore(value: 0)
    for _ in 0..<50 {
      try pool.submit { done.signal() }
      try arrives(done)
    }
  }

  @Test("several threads submit ten thousand jobs: each runs once, those of one sender in order")
  func manySenders() throws {
    for workers in [1, 4] {
      let pool = ThreadPoolExecutor(maxWorkers: workers)
      let seen = Shared<[[Int]]>(Array(repeating: [], count: 8))
      let failures = Shared(0)
      let senders = (0..<8).map { sender in
        TestThread {
          for number in 0..<1250 {
            do {
              try pool.submit { seen.withLock { $0[sender].append(number) } }
            } catch {
              failures.withLock { $0 += 1 }
            }
          }
        }
      }
      for sender in senders { sender.join() }
      pool.shutdown()
      #expect(failures.current == 0)
      for numbers in seen.current {
        #expect((workers == 1 ? numbers : numbers.sorted()) == Array(0..<1250))
      }
    }
  }

  @Test("a thread without work goes after a while, and is made again") func goesWhenIdle() throws {
    let pool = ThreadPoolExecutor(maxWorkers: 2, patience: 0)
    let done = DispatchSemaphore(value: 0)
    for _ in 0..<20 {
      try pool.submit { done.signal() }
      try arrives(done)
      try eventually("the thread goes") { pool.counts.threads == 0 }
    }
  }

  @Test("a pool that is dropped runs what it has, and ends") func dropped() throws {
    let gate = Gate()
    let ran = Shared(0)
    let done = DispatchSemaphore(value: 0)
    weak var observed: ThreadPoolExecutor?
    do {
      let pool = ThreadPoolExecutor(maxWorkers: 1, patience: 1000)
      observed = pool
      try pool.submit { gate.pass() }
      for _ in 0..<10 { try pool.submit { ran.withLock { $0 += 1 } } }
      try pool.submit { done.signal() }
    }
    #expect(observed == nil)
    gate.open()
    try arrives(done)
    #expect(ran.current == 10)
  }

  @Test("the threads of a pool that is dropped end") func droppedThreads() throws {
    weak var observed: WorkerThreads?
    do {
      let workers = WorkerThreads(WorkerThreads.Options(limit: 2, name: "dropped", patience: 1000))
      let pool = ThreadPoolExecutor(workers)
      observed = workers
      try pool.submit {}
    }
    try eventually { observed == nil }
  }

  @Test(
    "a thread's name is the prefix and a number, in fifteen bytes",
    arguments: [
      ("crunch", "crunch_0"), ("", "_0"), ("a-prefix-that-is-too-long", "a-prefix-that_0"),
      ("\u{E9}\u{E9}\u{E9}\u{E9}\u{E9}\u{E9}\u{E9}\u{E9}", "\u{E9}\u{E9}\u{E9}\u{E9}\u{E9}\u{E9}_0"),
      ("cut\0off", "cut_0"),
    ])
  func names(prefix: String, expected: String) throws {
    let pool = ThreadPoolExecutor(maxWorkers: 1, threadNamePrefix: prefix)
    let name = OneShot<String>()
    try pool.submit { name.set(threadName()) }
    #expect(name.wait() == expected)
  }

  @Test("numbers of threads that are gone are given again") func numbers() throws {
    let pool = ThreadPoolExecutor(maxWorkers: 3, threadNamePrefix: "n", patience: 0)
    for _ in 0..<3 {
      let names = Shared<Set<String>>([])
      let gate = Gate()
      let begun = DispatchSemaphore(value: 0)
      for _ in 0..<3 {
        try pool.submit {
          names.withLock { _ = $0.insert(threadName()) }
          begun.signal()
          gate.pass()
        }
      }
      for _ in 0..<3 { try arrives(begun) }
      #expect(names.current == ["n_0", "n_1", "n_2"])
      gate.open()
      try eventually { pool.counts.threads == 0 }
    }
  }

  @Test("a pool has four threads more than there are processors, at most 32, unless told otherwise")
  func defaultSize() {
    #expect(ThreadPoolExecutor().maxWorkers == min(32, Environment.processorCount + 4))
    #expect(Environment.processorCount >= 1 && Environment.processorCount <= Int(sysconf(Int32(_SC_NPROCESSORS_CONF))))
    #expect(ThreadPoolExecutor(maxWorkers: 7).maxWorkers == 7)
  }

  @Test("signals are not for its threads") func signals() throws {
    let pool = ThreadPoolExecutor(maxWorkers: 1)
    let blocked = OneShot<[Bool]>()
    try pool.submit {
      var mask = sigset_t()
      pthread_sigmask(SIG_SETMASK, nil, &mask)
      blocked.set([SIGINT, SIGTERM, SIGCHLD, SIGPIPE].map { sigismember(&mask, $0) == 1 })
    }
    #expect(blocked.wait() == [true, true, true, true])
  }

  @Test("what was cancelled does not pile up behind a job that hangs") func purge() throws {
    let pool = ThreadPoolExecutor(maxWorkers: 1)
    let gate = Gate()
    let begun = DispatchSemaphore(value: 0)
    let ran = Shared<[Int]>([])
    try pool.submit {
      begun.signal()
      gate.pass()
    }
    try arrives(begun)
    for number in 0..<10_000 {
      let job = try pool.submit { ran.withLock { $0.append(number) } }
      if number % 1000 != 0 { job.cancel() }
    }
    #expect(pool.counts.queued <= 128)
    gate.open()
    pool.shutdown()
    #expect(ran.current == (0..<10).map { $0 * 1000 })
  }
}

/// The end of a pool, and threads that the system refuses.
@Suite struct ThreadPoolShutdownTests {
  @Test("after a shutdown nothing is taken, and what was taken is run") func takesNoMore() throws {
    let pool = ThreadPoolExecutor(maxWorkers: 1)
    let gate = Gate()
    let ran = Shared(0)
    try pool.submit { gate.pass() }
    for _ in 0..<5 { try pool.submit { ran.withLock { $0 += 1 } } }
    pool.shutdown(wait: false)
    #expect(throws: EventLoopError.executorShutDown) { try pool.submit { ran.withLock { $0 += 100 } } }
    #expect(ran.current == 0)
    gate.open()
    // It can be waited for afterwards.
    pool.shutdown()
    #expect(ran.current == 5)
    #expect(pool.counts.threads == 0 && pool.counts.queued == 0)
    #expect(throws: EventLoopError.executorShutDown) { try pool.submit {} }
  }

  @Test("idle threads end at a shutdown, and a pool without threads is done at once") func idleThreads() throws {
    let pool = ThreadPoolExecutor(maxWorkers: 3, patience: 1000)
    let done = DispatchSemaphore(value: 0)
    try pool.submit { done.signal() }
    try arrives(done)
    try eventually { pool.counts.idle == 1 }
    pool.shutdown(cancelPending: false) { done.signal() }
    try arrives(done)
    #expect(pool.counts.threads == 0)
    pool.shutdown()
    let calls = Shared(0)
    pool.shutdown(cancelPending: true) { calls.withLock { $0 += 1 } }
    #expect(calls.current == 1)
    let unused = ThreadPoolExecutor(maxWorkers: 3)
    unused.shutdown()
    #expect(throws: EventLoopError.executorShutDown) { try unused.submit {} }
  }

  @Test("a shutdown can cancel what has not begun, and tells of the end after that") func cancelsPending() throws {
    let pool = ThreadPoolExecutor(maxWorkers: 1)
    let gate = Gate()
    let log = Shared<[String]>([])
    let begun = DispatchSemaphore(value: 0)
    let done = DispatchSemaphore(value: 0)
    try pool.submit {
      begun.signal()
      gate.pass()
      log.withLock { $0.append("first ran") }
    }
    try arrives(begun)
    let jobs = (0..<3).map { number in
      BlockingJob(
        { log.withLock { $0.append("\(number) ran") } }, onCancel: { log.withLock { $0.append("\(number) cancelled") } }
      )
    }
    for job in jobs { try pool.submit(job) }
    pool.shutdown(cancelPending: true) { done.signal() }
    #expect(log.current == ["0 cancelled", "1 cancelled", "2 cancelled"])
    #expect(jobs.allSatisfy { $0.isCancelled })
    #expect(done.wait(timeout: .now()) == .timedOut)
    gate.open()
    try arrives(done)
    #expect(log.current.last == "first ran" && log.current.count == 4)
  }

  @Test("the end is told to all who asked, once, when the last thread has no more to do") func whenDone() throws {
    let pool = ThreadPoolExecutor(maxWorkers: 2)
    let gates = [Gate(), Gate()]
    let told = Shared<[Int]>([])
    let done = DispatchSemaphore(value: 0)
    for gate in gates { try pool.submit { gate.pass() } }
    for number in 0..<3 {
      pool.shutdown(cancelPending: false) {
        told.withLock { $0.append(number) }
        done.signal()
      }
    }
    gates[0].open()
    try eventually { pool.counts.threads == 1 }
    #expect(told.current == [])
    gates[1].open()
    for _ in 0..<3 { try arrives(done) }
    #expect(told.current == [0, 1, 2])
  }

  @Test("a job may submit, and shut its pool down without waiting") func fromInside() throws {
    let pool = ThreadPoolExecutor(maxWorkers: 1)
    let log = Shared<[String]>([])
    let done = DispatchSemaphore(value: 0)
    try pool.submit { [weak pool] in
      _ = try? pool?.submit { log.withLock { $0.append("second") } }
      pool?.shutdown(wait: false)
      log.withLock { $0.append((try? pool?.submit({})) == nil ? "refused" : "taken") }
      done.signal()
    }
    try arrives(done)
    pool.shutdown()
    #expect(log.current == ["refused", "second"])
  }

  @Test("a thread of the pool that waits for itself is told so") func waitsForItself() async throws {
    let result = await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
      let pool = ThreadPoolExecutor(maxWorkers: 1)
      try pool.submit { pool.shutdown() }
      DispatchSemaphore(value: 0).wait()
    }
    let text = String(decoding: try #require(result).standardErrorContent, as: UTF8.self)
    #expect(text.contains("a thread of the pool cannot wait for itself; pass wait: false"))
  }

  @Test("a pool without threads is a programmer's error") func noThreads() async throws {
    let result = await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
      _ = ThreadPoolExecutor(maxWorkers: 0)
    }
    let text = String(decoding: try #require(result).standardErrorContent, as: UTF8.self)
    #expect(text.contains("ThreadPoolExecutor: maxWorkers must be above zero"))
  }

  @Test("without any thread the job is refused with the system's error, and not kept") func noThreadToBeHad() throws {
    let isRefused = Shared(true)
    let pool = ThreadPoolExecutor(maxWorkers: 2, patience: 10) {
      isRefused.current ? .resourceTemporarilyUnavailable : nil
    }
    let ran = Shared<[String]>([])
    let error = #expect(throws: IOError.self) { try pool.submit { ran.withLock { $0.append("refused") } } }
    #expect(error == IOError(.resourceTemporarilyUnavailable, "pthread_create"))
    #expect(pool.counts.queued == 0 && pool.counts.threads == 0)
    isRefused.withLock { $0 = false }
    try pool.submit { ran.withLock { $0.append("taken") } }
    pool.shutdown()
    #expect(ran.current == ["taken"])
  }

  @Test("with one thread at least the job waits for that") func noSecondThreadToBeHad() throws {
    let isRefused = Shared(false)
    let pool = ThreadPoolExecutor(maxWorkers: 9, patience: 10) {
      isRefused.current ? .resourceTemporarilyUnavailable : nil
    }
    let gate = Gate()
    let ran = Shared<[Int]>([])
    try pool.submit { gate.pass() }
    isRefused.withLock { $0 = true }
    for number in 0..<3 { try pool.submit { ran.withLock { $0.append(number) } } }
    #expect(pool.counts.threads == 1)
    gate.open()
    pool.shutdown()
    #expect(ran.current == [0, 1, 2])
  }

  @Test("a size of stack that the system cannot give is its error", arguments: [1, 1 << 50])
  func stackSize(size: Int) throws {
    let pool = ThreadPoolExecutor(maxWorkers: 1, stackSize: size)
    let error = #expect(throws: IOError.self) { try pool.submit {} }
    #expect(error?.operation == "pthread_create")
    pool.shutdown()
  }
}
