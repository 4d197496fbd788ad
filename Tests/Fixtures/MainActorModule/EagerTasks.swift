// SPDX-License-Identifier: Apache-2.0
import AsyncIO

/// Runs a program that starts eager tasks whose closures are MainActor's: from a task, from a callback, and in an eager task.
///
/// - Returns: what happened, in order.
public func runEagerTasks(_ configuration: EventLoop.Configuration) throws -> [String] {
  var log: [String] = []
  try EventLoop.run(configuration) { loop in
    func start(_ name: String) -> LoopTask<Void> {
      let task = loop.createTask(eager: true) {
        MainActor.assertIsolated()
        log.append("\(name) begins")
        try await loop.sleep(for: .zero)
        MainActor.assertIsolated()
        log.append("\(name) goes on")
      }
      log.append("\(name) was started")
      return task
    }
    try await start("from a task").value

    let started = Future<LoopTask<Void>>(loop)
    loop.callSoon { try started.setResult(start("from a callback")) }
    loop.callSoon { log.append("next callback") }
    try await started.value.value

    let outer = loop.createTask(eager: true) {
      log.append("outer begins")
      let inner = start("inner")
      log.append("outer waits")
      try await inner.value
      log.append("outer ends")
    }
    log.append("outer was started")
    try await outer.value

    let quick = loop.createTask(eager: true) { 42 }
    log.append("without a wait it is done: \(quick.isDone)")
    let failed = loop.createTask(eager: true) { throw CancellationError() }
    log.append("and so is one that throws: \(failed.isDone), \(failed.error != nil)")
    let around = loop.createTask(eager: true) { loop.createTask(eager: true) { 42 }.isDone }
    log.append("and one around another: \(around.isDone), \(try await around.value)")
  }
  return log
}
