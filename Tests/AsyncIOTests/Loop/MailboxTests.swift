// SPDX-License-Identifier: Apache-2.0
import DequeModule
import Glibc
import Synchronization
import Testing

@testable import AsyncIO

@Suite struct MailboxTests {
  private final class CountingWaker: Waker {
    let count = Atomic(0)
    func wake() { count.add(1, ordering: .sequentiallyConsistent) }
    var wakes: Int { count.load(ordering: .sequentiallyConsistent) }
  }

  private func call(_ body: @escaping @Sendable () -> Void = {}) -> Mailbox.Message {
    .call(RemoteCallback { _ in body() })
  }

  @Test("messages come out in order, once")
  func order() {
    let mailbox = Mailbox(waker: NoWaker())
    #expect(!mailbox.mayHaveMessages)
    #expect(mailbox.takeAll().isEmpty)
    mailbox.post(call())
    mailbox.post(.stop)
    #expect(mailbox.mayHaveMessages)
    let taken = mailbox.takeAll()
    #expect(taken.count == 2)
    if case .call = taken[0], case .stop = taken[1] {} else { Issue.record("not in order") }
    #expect(!mailbox.mayHaveMessages && mailbox.takeAll().isEmpty)
  }

  @Test("only a sleeping loop is woken, and once")
  func wakes() {
    let waker = CountingWaker()
    let mailbox = Mailbox(waker: waker)
    for _ in 0..<1000 { mailbox.post(call()) }
    #expect(waker.wakes == 0)
    // What came before the sleep forbids it.
    #expect(!mailbox.prepareToSleep())
    mailbox.post(call())
    #expect(waker.wakes == 0)
    _ = mailbox.takeAll()
    #expect(mailbox.prepareToSleep())
    for _ in 0..<10_000 { mailbox.post(call()) }
    #expect(waker.wakes == 1)
    mailbox.didWake()
    mailbox.post(call())
    #expect(waker.wakes == 1)
  }

  @Test("a sleep that ended for another reason asks for no wake")
  func didWake() {
    let waker = CountingWaker()
    let mailbox = Mailbox(waker: waker)
    #expect(mailbox.prepareToSleep())
    mailbox.didWake()
    mailbox.post(call())
    #expect(waker.wakes == 0)
  }

  @Test("after close nothing is taken in, and what was left is told")
  func close() {
    let waker = CountingWaker()
    let mailbox = Mailbox(waker: waker)
    #expect(!mailbox.isClosed)
    mailbox.post(call())
    #expect(mailbox.close().count == 1)
    #expect(mailbox.isClosed && !mailbox.mayHaveMessages)
    let isTaken = mailbox.post(call())
    #expect(!isTaken)
    #expect(mailbox.takeAll().isEmpty && waker.wakes == 0)
    #expect(mailbox.close().count == 0)
  }

  @Test("10,000 messages of four threads: each sender's in order, each once")
  func manySenders() throws {
    let mailbox = Mailbox(waker: NoWaker())
    let received = Shared<[[Int]]>(Array(repeating: [], count: 4))
    let senders = (0..<4).map { sender in
      TestThread {
        for number in 0..<2500 {
          mailbox.post(.call(RemoteCallback { _ in received.withLock { $0[sender].append(number) } }))
        }
      }
    }
    var count = 0
    let loop = try EventLoop()
    defer { loop.close() }
    while count < 10_000 {
      for case .call(let call) in mailbox.takeAll() {
        count += 1
        try (call as? RemoteCallback)?.run(on: loop)
      }
    }
    for sender in senders { sender.join() }
    #expect(mailbox.takeAll().isEmpty)
    for numbers in received.withLock({ $0 }) { #expect(numbers == Array(0..<2500)) }
  }

  @Test("what is over lends its memory to the next calls, of which the mailbox takes no more than it needs")
  func spareCalls() {
    let mailbox = Mailbox(waker: NoWaker())
    var messages = UniqueDeque<Mailbox.Message>()
    let old = (0..<3).map { _ in RemoteCallback() }
    var spare: [any RemoteCall] = old
    mailbox.takeAll(into: &messages, leaving: &spare)
    #expect(spare.isEmpty)
    var more: [any RemoteCall] = [RemoteCallback()]
    mailbox.takeAll(into: &messages, leaving: &more)
    #expect(more.count == 1, "there are some already")
    var offered: [RemoteCallback?] = []
    func send() -> RemoteCallback? {
      mailbox.postCall { (spare: consuming RemoteCallback?) in
        offered.append(spare)
        return RemoteCallback()
      }
    }
    for _ in 0..<4 { #expect(send() != nil) }
    #expect(offered[0] === old[2] && offered[1] === old[1] && offered[2] === old[0] && offered[3] == nil)
    #expect(mailbox.takeAll().count == 4)
    _ = mailbox.close()
    #expect(send() == nil && offered.count == 4)
  }

  @Test("a loop that sleeps and wakes over and over misses nothing")
  func noLostWakeUp() throws {
    let rounds = 20_000
    let running = LoopThread()
    let received = Shared(0)
    // One message at a time: each has to find a loop that sleeps, or is about to.
    for round in 0..<rounds {
      try running.remote.callSoonThreadsafe { _ in received.withLock { $0 = round + 1 } }
      let start = LinuxKernel.shared.monotonicNanoseconds()
      var turns = 0
      while received.current != round + 1 {
        turns += 1
        if turns % 64 == 0 { sched_yield() }
        guard LinuxKernel.shared.monotonicNanoseconds() - start < 10_000_000_000 else {
          Issue.record("message \(round) was lost")
          running.join()
          return
        }
      }
    }
    running.join()
  }
}

/// A message that was taken out.
private enum Taken {
  case call(any RemoteCall), stop, job
}

extension Mailbox {
  fileprivate func takeAll() -> [Taken] {
    var messages = UniqueDeque<Message>()
    var spareCalls: [any RemoteCall] = []
    takeAll(into: &messages, leaving: &spareCalls)
    var taken: [Taken] = []
    while let message = messages.popFirst() {
      switch consume message {
      case .call(let call): taken.append(.call(call))
      case .stop: taken.append(.stop)
      case .job: taken.append(.job)
      case .timedJob: taken.append(.job)
      }
    }
    return taken
  }
}
