// SPDX-License-Identifier: Apache-2.0

/// Where Swift's jobs come in: straight into the queue on the loop's thread, through the mailbox from elsewhere.
struct JobDoor: Sendable {
  private let core: LoopBound<LoopCore>
  let mailbox: Mailbox

  init(_ core: LoopCore) {
    self.core = LoopBound(core)
    mailbox = core.mailbox
  }

  var isOnLoopThread: Bool { mailbox.isOnRunnersThread }

  /// False when the loop is closed: then the job is dropped, since nobody may run it any more.
  @discardableResult
  func enqueue(_ job: UnownedJob, on executor: JobExecutor) -> Bool {
    guard isOnLoopThread else { return mailbox.post(.job(job, executor)) }
    core.value.schedule(job, executor)
    return true
  }

  @discardableResult
  func enqueue(_ job: UnownedJob, on executor: JobExecutor, deadline: Int64) -> Bool {
    guard isOnLoopThread else { return mailbox.post(.timedJob(job, executor, deadline: deadline)) }
    core.value.schedule(job, executor, deadline: deadline)
    return true
  }

  /// The deadline on the loop's clock of a delay that begins now.
  func deadline(after delay: Duration) -> Int64 {
    core.value.clock.now.advanced(by: delay).nanoseconds
  }
}
