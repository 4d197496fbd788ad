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
    .call(RemoteHandle { _ in body() })
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
    #expect(!mailbox.post(call()))
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
          mailbox.post(.call(RemoteHandle { _ in received.withLock { $0[sender].append(number) } }))
        }
      }
    }
    var count = 0
    let loop = try EventLoop()
    defer { loop.close() }
    while count < 10_000 {
      for case .call(let call) in mailbox.takeAll() {
        count += 1
        try (call as? RemoteHandle)?.run(on: loop)
      }
    }
    for sender in senders { sender.join() }
    #expect(mailbox.takeAll().isEmpty)
    for numbers in received.withLock({ $0 }) { #expect(numbers == Array(0..<2500)) }
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

extension Mailbox {
  fileprivate func takeAll() -> [Message] {
    var messages = UniqueDeque<Message>()
    takeAll(into: &messages)
    var taken: [Message] = []
    while let message = messages.popFirst() { taken.append(message) }
    return taken
  }
}
