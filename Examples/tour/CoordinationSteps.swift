// SPDX-License-Identifier: Apache-2.0
import AsyncIO

let coordinationSteps = [
  Step("a queue that holds back", boundedQueue),
  Step("a queue and another loop", queueAndLoop),
  Step("a lock", lock),
  Step("a semaphore", semaphore),
  Step("news for everybody", broadcast),
  Step("the newest value", watch),
  Step("three sequences in one", mergedSequences),
]

@Sendable func boundedQueue(_ loop: EventLoop) async throws -> String {
  let queue = Queue<Int>(loop, maxCount: 4)
  var most = 0
  let workers = (0..<3).map { _ in
    loop.createTask {
      var sum = 0
      for try await number in queue {
        try await loop.sleep(for: .zero)
        sum += number
      }
      return sum
    }
  }
  for number in 1...100 {
    try await queue.put(number)
    most = max(most, queue.count)
  }
  queue.shutdown()
  try expect("the sum of what the workers took", try await loop.gather(workers).reduce(0, +), is: 5050)
  try expect(most <= 4, "\(most) elements were in the queue at a time")
  return "100 elements, three workers, at most \(most) waiting"
}

@Sendable func queueAndLoop(_ loop: EventLoop) async throws -> String {
  let queue = Queue<Int>(loop, maxCount: 4)
  let remote = queue.remote
  let elsewhere = loop.createTask {
    // On a thread of its own.
    try await EventLoop.runOnThread { _ in
      for number in 1...100 { try await remote.put(number) }
      try await remote.shutdown()
    }
  }
  var numbers: [Int] = []
  for try await number in queue { numbers.append(number) }
  try await elsewhere.value
  try expect(numbers == Array(1...100), "\(numbers.count) elements came, not all of them in order")
  return "100 elements from another loop, in order, held back at four"
}

@Sendable func lock(_ loop: EventLoop) async throws -> String {
  let lock = Lock(loop)
  var balance = 0
  _ = try await loop.gather(1...50) { _ in
    try await lock.withLock {
      // Without the lock all would see the same balance.
      let seen = balance
      try await loop.sleep(for: .zero)
      balance = seen + 1
    }
  }
  try expect("the balance", balance, is: 50)
  return "50 tasks that read, wait and write, one after the other"
}

@Sendable func semaphore(_ loop: EventLoop) async throws -> String {
  let permits = Semaphore(loop, permits: 3)
  var (inside, most) = (0, 0)
  _ = try await loop.gather(1...30) { _ in
    try await permits.withPermit {
      inside += 1
      most = max(most, inside)
      try await loop.sleep(for: .zero)
      inside -= 1
    }
  }
  try expect("the most inside at a time", most, is: 3)
  return "30 tasks, three at a time"
}

@Sendable func broadcast(_ loop: EventLoop) async throws -> String {
  let news = Broadcast<Int>(loop, capacity: 4)
  let (quick, slow) = (news.subscribe(), news.subscribe())
  let reader = loop.createTask {
    var numbers: [Int] = []
    for try await message in quick { numbers.append(message.element) }
    return numbers
  }
  for number in 1...10 {
    news.send(number)
    try await loop.sleep(for: .zero)
  }
  news.shutdown()
  try expect("what came to who kept up", try await reader.value, is: Array(1...10))
  guard let first = try await slow.next() else { throw Failure("nothing was kept for who was slow") }
  try expect("the oldest that is kept", first.element, is: 7)
  try expect("what was missed", first.missed, is: 6)
  return "one got all 10; the other missed \(first.missed), and knows it"
}

@Sendable func watch(_ loop: EventLoop) async throws -> String {
  let level = Watch(loop, 0)
  let levels = level.subscribe()
  let full = loop.createTask(eager: true) { try await level.wait(until: { $0 >= 100 }) }
  try expect("the first value", try await levels.next(), is: 0)
  for value in 1...100 { level.value = value }
  try expect("the next value", try await levels.next(), is: 100)
  try expect("what somebody has waited for", try await full.value, is: 100)
  return "100 changes: who looks sees the last, who waits for it is told"
}

@Sendable func mergedSequences(_ loop: EventLoop) async throws -> String {
  let names = ["red", "green", "blue"]
  let queues = names.map { _ in Queue<String>(loop) }
  for (name, queue) in zip(names, queues) {
    for number in 1...10 { _ = queue.tryPut("\(name) \(number)") }
    queue.shutdown()
  }
  var elements: [String] = []
  for try await element in loop.merge(queues) { elements.append(element) }
  for name in names {
    let own = elements.filter { $0.hasPrefix(name) }
    try expect("the elements of one", own, is: (1...10).map { "\(name) \($0)" })
  }
  return "\(elements.count) elements, each sequence's in its order"
}
