// SPDX-License-Identifier: Apache-2.0

/// A task, and what it waits for at the moment.
package struct TaskState {
  package let task: any AnyLoopTask
  /// Nil while it runs or is about to, and while it waits for what the loop does not know of: another executor, or a child
  /// of its own.
  package let awaited: AwaitedThing?
}

/// A timer that has not come up.
package struct TimerState {
  package let deadline: EventLoop.Clock.Instant
  /// Where it was set; of callbacks in debug mode only.
  package let callSite: CallSite?
  /// Whether it ends a wait or a limit of a task's, which is told of by itself.
  package let isOfTask: Bool
}

/// What the loop has under way: for tests, which must leave nothing behind, and for whoever asks why nothing happens.
extension EventLoop {
  /// The tasks that have not ended.
  package var taskStates: [TaskState] {
    tasks.running.map { TaskState(task: $0, awaited: $0.whatIsAwaited) }
  }

  /// How many tasks have not ended.
  package var taskCount: Int { tasks.count }

  /// Whether there are timers that have not come up and end no wait or limit of a task's.
  package var hasTimersOfCallbacks: Bool { core.timers.count > 0 && timerStates.contains { !$0.isOfTask } }

  /// The timers that have not come up, the earliest first.
  package var timerStates: [TimerState] {
    core.timers.all.map { entry, deadline in
      let deadline = Clock.Instant(nanoseconds: deadline)
      switch entry {
      case .callback(let call):
        return TimerState(deadline: deadline, callSite: call.callSite, isOfTask: false)
      case .wakeUp: return TimerState(deadline: deadline, callSite: nil, isOfTask: true)
      case .job: return TimerState(deadline: deadline, callSite: nil, isOfTask: true)
      }
    }
  }

  /// Notes from now on which tasks have steps, for ``foreignWaits``.
  package func noteSteps() { stepLog.value = StepLog() }

  /// How many tasks wait for what the loop does not know of, but for those that sleep by `Task.sleep` as far as that can
  /// be told. The loop has to note steps, and to have nothing to do.
  package var foreignWaits: Int {
    let waiting = stepLog.value?.waitsElsewhere(tasks) ?? 0
    return waiting == 0 ? 0 : max(0, waiting - core.timers.jobCount)
  }
}
