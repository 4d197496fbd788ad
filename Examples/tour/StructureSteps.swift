// SPDX-License-Identifier: Apache-2.0
import AsyncIO

let structureSteps = [
  Step("a group, so many tasks at a time", taskGroup),
  Step("one fails, and none is left", failingGroup),
  Step("several results, in order", gatheredResults),
  Step("a time limit", timeLimit),
  Step("a limit inside another one", nestedLimits),
  Step("ticks at equal distances", ticks),
  Step("a shield", shieldedWork),
]

@Sendable func taskGroup(_ loop: EventLoop) async throws -> String {
  var atWork = 0
  var most = 0
  let sum = try await loop.withLoopTaskGroup(maxConcurrent: 10) { group in
    for number in 1...100 {
      group.createTask(name: "number \(number)") {
        atWork += 1
        most = max(most, atWork)
        defer { atWork -= 1 }
        try await loop.sleep(for: .microseconds(100))
        return number
      }
    }
    var sum = 0
    for try await number in group { sum += number }
    return sum
  }
  try expect("the sum of what the tasks returned", sum, is: 5050)
  try expect("the most at work at a time", most, is: 10)
  return "100 tasks, 10 at a time"
}

@Sendable func failingGroup(_ loop: EventLoop) async throws -> String {
  let before = loop.allTasks.count
  var cancelled = 0
  do {
    try await loop.withLoopTaskGroup { group in
      for _ in 0..<10 {
        group.createTask {
          do { try await loop.sleep(for: .seconds(3600)) } catch {
            cancelled += 1
            throw error
          }
        }
      }
      group.createTask {
        try await loop.sleep(for: .milliseconds(1))
        throw Failure("no more paper")
      }
    }
    throw Failure("the group ended without an error")
  } catch let error as Failure {
    try expect("the group's error", error.description, is: "no more paper")
    try expect("cancelled tasks", cancelled, is: 10)
    try expect("tasks that are left", loop.allTasks.count - before, is: 0)
    return "\"\(error)\": \(cancelled) others were cancelled and awaited"
  }
}

@Sendable func gatheredResults(_ loop: EventLoop) async throws -> String {
  let (name, age) = try await loop.gather({ "Ada" }, { 36 })
  try expect("results of two types", "\(name), \(age)", is: "Ada, 36")
  let squares = try await loop.gather([3, 1, 2]) { number in
    try await loop.sleep(for: .milliseconds(number))
    return number * number
  }
  try expect("results of a sequence", squares, is: [9, 1, 4])
  let halves = try await loop.gatherResults([2, 3]) { number in
    if number % 2 != 0 { throw Failure("\(number) is odd") }
    return number / 2
  }
  try expect("the first half", try halves[0].get(), is: 1)
  guard case .failure(let error) = halves[1] else { throw Failure("3 was halved") }
  return "\(name) and \(age), \(squares), and an error beside a result: \(error)"
}

@Sendable func timeLimit(_ loop: EventLoop) async throws -> String {
  let start = loop.time
  do {
    // Whatever waits in there ends by the limit: the library's own calls, Swift's, and children.
    try await loop.withTimeout(.milliseconds(2)) {
      async let child: Void = Task.sleep(for: .seconds(3600))
      try await loop.sleep(for: .seconds(3600))
      try await child
    }
    throw Failure("an hour's sleep was done within its limit")
  } catch is TimeoutError {
    try expect(!Task.isCancelled, "the limit has cancelled who set it")
    return "an hour's sleep, over after \(start.duration(to: loop.time).milliseconds)"
  }
}

@Sendable func nestedLimits(_ loop: EventLoop) async throws -> String {
  var inside = "nothing"
  do {
    try await loop.withTimeout(.milliseconds(2)) {
      do {
        try await loop.withTimeout(.seconds(60)) { try await loop.sleep(for: .seconds(3600)) }
      } catch {
        inside = "\(type(of: error))"
        throw error
      }
    }
    throw Failure("an hour's sleep was done within its limit")
  } catch is TimeoutError {
    try expect("what the inner limit threw", inside, is: "CancellationError")
    return "each limit throws for itself alone"
  }
}

@Sendable func ticks(_ loop: EventLoop) async throws -> String {
  let interval = Duration.milliseconds(2)
  let start = loop.time
  var numbers: [Int] = []
  var missed = 0
  for try await tick in loop.every(interval) {
    let due = start.advanced(by: interval * tick.number)
    try expect(loop.time >= due, "tick \(tick.number) was early")
    numbers.append(tick.number)
    missed += tick.missed
    if numbers.count == 2 { try await loop.sleep(for: interval * 3) }
    if numbers.count == 5 { break }
  }
  try expect(missed >= 2, "work that took three intervals has missed \(missed) ticks")
  return "\(numbers), \(missed) missed by work that took three intervals"
}

@Sendable func shieldedWork(_ loop: EventLoop) async throws -> String {
  let work = loop.createTask {
    try await loop.sleep(for: .milliseconds(2))
    return 42
  }
  let waiting = loop.createTask(eager: true) { try await loop.shield(work) }
  waiting.cancel()
  do {
    _ = try await waiting.value
    throw Failure("a wait that was cancelled returned")
  } catch is CancellationError {
    try expect("what the work returns all the same", try await work.value, is: 42)
    return "the wait was cancelled, and the work was not"
  }
}
