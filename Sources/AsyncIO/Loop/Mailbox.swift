// SPDX-License-Identifier: Apache-2.0
import DequeModule
import Synchronization

/// A call from another thread, as the queues see it, which do not know the loop that it is made with.
protocol RemoteCall: AnyObject, Sendable {
  /// The loop closes, and will not get to it.
  func drop()
}

/// Where other threads leave work for a loop, and what they may know of it. Everything here is safe from any thread.
final class Mailbox: Sendable {
  /// It is not copied: from hand to hand, two threads count no references to what it carries.
  enum Message: ~Copyable, Sendable {
    case call(any RemoteCall)
    case job(UnownedJob, JobExecutor)
    case timedJob(UnownedJob, JobExecutor, deadline: Int64)
    case stop
  }

  private struct State: ~Copyable {
    var messages = UniqueDeque<Message>()
    /// Calls that are over, whose memory is the next ones'.
    var spareCalls: [any RemoteCall] = []
    /// Set when the loop is closed.
    var isClosed = false
  }

  private let state = Mutex(State())
  /// Ends the loop's poll. Not to be used once the loop is closed.
  private let waker: any Waker
  /// Whether `messages` has any: what the loop looks at before it takes the lock.
  private let hasMessages = Atomic(false)
  /// Whether the loop may be blocked in a poll and nobody has woken it yet.
  private let needsWake = Atomic(false)
  /// The thread that runs the loop; zero while none does.
  private let runner = Atomic<UInt>(0)

  init(waker: any Waker) { self.waker = waker }

  // MARK: Any thread

  /// Leaves a message; false when the loop is closed.
  @discardableResult
  func post(_ message: consuming Message) -> Bool {
    // What a closure captures it can only take out of something.
    var message = Optional(message)
    return state.withLock { state in
      guard !state.isClosed, let taken = message.take() else { return false }
      append(taken, to: &state)
      return true
    }
  }

  /// Leaves a call.
  ///
  /// - Parameter make: makes it, of the memory of one that is over where there is such. Not called when the loop is closed.
  /// - Returns: the call; nil when the loop is closed.
  func postCall<Call: RemoteCall>(_ make: (_ spare: consuming Call?) -> Call) -> Call? {
    state.withLock { state in
      guard !state.isClosed else { return nil }
      let call = make(state.spareCalls.popLast() as? Call)
      append(.call(call), to: &state)
      return call
    }
  }

  private func append(_ message: consuming Message, to state: inout State) {
    state.messages.append(message)
    // Whoever left the first of them has seen to it that the loop will look.
    guard state.messages.count == 1 else { return }
    // The loop says that it will sleep and then looks for messages; we add one and then look whether it sleeps. One
    // of the two sees the other, and of many senders only the first writes to the waker. Under the lock, so that
    // `close` cannot take the waker's descriptor away meanwhile.
    hasMessages.store(true, ordering: .sequentiallyConsistent)
    if needsWake.exchange(false, ordering: .sequentiallyConsistent) { waker.wake() }
  }

  var isClosed: Bool { state.withLock { $0.isClosed } }

  var isRunning: Bool { runner.load(ordering: .relaxed) != 0 }

  /// Whether the caller is on the thread that runs the loop.
  var isOnRunnersThread: Bool { runner.load(ordering: .relaxed) == ThreadIdentity.current.number }

  // MARK: The loop's thread

  func setRunner(_ thread: ThreadIdentity?) {
    runner.store(thread?.number ?? 0, ordering: .relaxed)
  }

  var mayHaveMessages: Bool { hasMessages.load(ordering: .acquiring) }

  /// Takes all messages, in their order, and leaves the memory of an empty queue and of calls that are over for those to come.
  func takeAll(into messages: inout UniqueDeque<Message>, leaving spareCalls: inout [any RemoteCall]) {
    state.withLock { state in
      hasMessages.store(false, ordering: .relaxed)
      swap(&messages, &state.messages)
      if state.spareCalls.isEmpty { swap(&spareCalls, &state.spareCalls) }
    }
  }

  /// Announces a blocking poll. False when there are messages, so that the loop must not block.
  func prepareToSleep() -> Bool {
    needsWake.store(true, ordering: .sequentiallyConsistent)
    if !hasMessages.load(ordering: .sequentiallyConsistent) { return true }
    needsWake.store(false, ordering: .relaxed)
    return false
  }

  func didWake() {
    needsWake.store(false, ordering: .relaxed)
  }

  /// Shuts the door; nobody uses the waker from here on. Tells what was left.
  func close() -> UniqueDeque<Message> {
    state.withLock { state in
      state.isClosed = true
      state.spareCalls = []
      hasMessages.store(false, ordering: .relaxed)
      var left = UniqueDeque<Message>()
      swap(&left, &state.messages)
      return left
    }
  }
}
