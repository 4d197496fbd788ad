// SPDX-License-Identifier: Apache-2.0
import AsyncIO
import Dispatch

let callbackSteps = [
  Step("callbacks, in order", callbacksInOrder),
  Step("timers, in order and never early", timersInOrder),
  Step("a cancelled timer stays silent", cancelledTimer),
  Step("a watched descriptor", watchedDescriptor),
  Step("signals, as callbacks", signalHandlers),
  Step("calls from another thread", callsFromAnotherThread),
  Step("an error that the loop survives", errorInCallback),
]

@Sendable func callbacksInOrder(_ loop: EventLoop) async throws -> String {
  var order: [Int] = []
  for number in 0..<1000 { loop.callSoon { order.append(number) } }
  try await loop.sleep(for: .zero)
  try expect(order == Array(0..<1000), "\(order.count) callbacks ran, not all of them in order")
  return "1,000 callbacks, first in, first out"
}

@Sendable func timersInOrder(_ loop: EventLoop) async throws -> String {
  let delays = (1...50).shuffled()
  let done = Future<Void>(loop)
  var fired: [Int] = []
  var worst = Duration.zero
  // One moment for all: a slow machine may take longer from one to the next than the delays differ.
  let start = loop.time
  for delay in delays {
    let due = start.advanced(by: .microseconds(200 * delay))
    loop.callAt(due) {
      let late = due.duration(to: loop.time)
      guard late >= .zero else { return try done.setError(Failure("a timer was \(late) early")) }
      worst = max(worst, late)
      fired.append(delay)
      if fired.count == delays.count { try done.setResult(()) }
    }
  }
  try await done.value
  try expect("the order of timers", fired, is: delays.sorted())
  return "50 timers set in disorder, at most \(worst.milliseconds) late"
}

@Sendable func cancelledTimer(_ loop: EventLoop) async throws -> String {
  var hasFired = false
  let timer = loop.callLater(.milliseconds(1)) { hasFired = true }
  timer.cancel()
  try await loop.sleep(until: timer.when.advanced(by: .milliseconds(1)))
  try expect(!hasFired, "it fired all the same")
  return "nothing at its time, nor after"
}

@Sendable func watchedDescriptor(_ loop: EventLoop) async throws -> String {
  let (reading, writing) = try Socket.pair()
  let received = Future<[UInt8]>(loop)
  try loop.addReader(reading.descriptor) { try received.setResult(try reading.receive(maxBytes: 100)) }
  defer { _ = try? loop.removeReader(reading.descriptor) }
  loop.callLater(.milliseconds(1)) { try writing.send(Array("abc".utf8)) }
  let text = String(decoding: try await received.value, as: UTF8.self)
  try expect("what was read", text, is: "abc")
  return "readable after 1 ms: \"\(text)\""
}

@Sendable func signalHandlers(_ loop: EventLoop) async throws -> String {
  let arrived = Future<Void>(loop)
  var calls = 0
  for signal in [Signal.hangUp, .realTime(0)] {
    try loop.addSignalHandler(signal) {
      calls += 1
      if calls == 101 { try arrived.setResult(()) }
    }
  }
  defer { for signal in [Signal.hangUp, .realTime(0)] { _ = try? loop.removeSignalHandler(signal) } }
  Signal.hangUp.raise()
  for _ in 0..<100 { Signal.realTime(0).raise() }
  try await arrived.value
  return "\(Signal.hangUp), and 100 of \(Signal.realTime(0)): none lost"
}

@Sendable func callsFromAnotherThread(_ loop: EventLoop) async throws -> String {
  let remote = loop.remote
  let (arrivals, arrival) = AsyncStream<Int>.makeStream()
  DispatchQueue.global().async {
    // The loop itself cannot come here: the compiler sees to that.
    for number in 0..<1000 {
      _ = try? remote.callSoonThreadsafe { loop in
        arrival.yield(loop.remote.isOnLoopThread ? number : -1)
        if number == 999 { arrival.finish() }
      }
    }
  }
  var order: [Int] = []
  for await number in arrivals { order.append(number) }
  try expect(order == Array(0..<1000), "\(order.count) calls came, not all of them in order and on the loop's thread")
  return "1,000 calls, in the sender's order, on the loop's thread"
}

@Sendable func errorInCallback(_ loop: EventLoop) async throws -> String {
  let previous = loop.getExceptionHandler()
  defer { loop.setExceptionHandler(previous) }
  var reports: [String] = []
  loop.setExceptionHandler { _, context in reports.append("\(context)") }
  var goesOn = false
  loop.callSoon { throw Failure("the disk is full") }
  loop.callSoon { goesOn = true }
  try await loop.sleep(for: .zero)
  try expect(goesOn, "the next callback did not run")
  try expect("what the handler was told", reports, is: ["error in a callback: the disk is full"])
  return reports[0]
}
