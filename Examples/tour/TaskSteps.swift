// SPDX-License-Identifier: Apache-2.0
import AsyncIO

let taskSteps = [
  Step("a task, async let and a task group", childTasks),
  Step("Task.sleep and MainActor", sleepAndMainActor),
  Step("a future", future),
  Step("a cancelled task", cancelledTask),
  Step("a cancelled read loses nothing", cancelledRead),
]

@Sendable func childTasks(_ loop: EventLoop) async throws -> String {
  let remote = loop.remote
  let task = loop.createTask { remote.isOnLoopThread }
  async let child = remote.isOnLoopThread
  let grandchildren = try await withThrowingTaskGroup(of: Bool.self) { group in
    for number in 1...10 {
      group.addTask {
        try await Task.sleep(for: .microseconds(100 * number))
        return remote.isOnLoopThread
      }
    }
    return try await group.reduce(into: 0) { count, isOnThread in count += isOnThread ? 1 : 0 }
  }
  let onThread = (try await task.value ? 1 : 0) + (await child ? 1 : 0) + grandchildren
  try expect("tasks on the loop's thread", onThread, is: 12)
  return "12 tasks, all on the loop's thread"
}

@Sendable func sleepAndMainActor(_ loop: EventLoop) async throws -> String {
  let remote = loop.remote
  let start = loop.time
  try await Task.sleep(for: .milliseconds(2))
  let slept = start.duration(to: loop.time)
  try expect(slept >= .milliseconds(2), "Task.sleep(for: 2 ms) took \(slept)")
  let actor = await Task { @MainActor in
    MainActor.assertIsolated()
    return remote.isOnLoopThread
  }.value
  try expect(actor, "MainActor runs on another thread")
  return "slept \(slept.milliseconds) on the loop's timers; MainActor is here too"
}

@Sendable func future(_ loop: EventLoop) async throws -> String {
  let answer = Future<Int>(loop)
  var wasCalledBack = false
  answer.addDoneCallback { _ in wasCalledBack = true }
  let readers = (0..<3).map { _ in loop.createTask { try await answer.value } }
  loop.callLater(.milliseconds(1)) { try answer.setResult(42) }
  var sum = 0
  for reader in readers { sum += try await reader.value }
  try expect("the sum of what three tasks awaited", sum, is: 3 * 42)
  try expect(wasCalledBack, "the done callback did not run")
  return "set once, awaited by three tasks, told to a callback"
}

@Sendable func cancelledTask(_ loop: EventLoop) async throws -> String {
  let start = loop.time
  let sleeper = loop.createTask { try await loop.sleep(for: .seconds(3600)) }
  loop.callLater(.milliseconds(1)) { sleeper.cancel() }
  do {
    try await sleeper.value
    throw Failure("the sleep of an hour ended without an error")
  } catch is CancellationError {
    return "asleep for an hour, over after \(start.duration(to: loop.time).milliseconds)"
  }
}

@Sendable func cancelledRead(_ loop: EventLoop) async throws -> String {
  let reader = try StreamReader(loop)
  reader.feedData(Array("hel".utf8))
  let reading = loop.createTask { try await reader.readExactly(5) }
  loop.callLater(.milliseconds(1)) { reading.cancel() }
  do {
    _ = try await reading.value
    throw Failure("the read ended without an error")
  } catch is CancellationError {
    reader.feedData(Array("lo".utf8))
  }
  let text = String(decoding: try await reader.readExactly(5), as: UTF8.self)
  try expect("what the next read got", text, is: "hello")
  return "half a message before, the other half after"
}
