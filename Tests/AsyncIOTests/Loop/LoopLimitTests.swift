// SPDX-License-Identifier: Apache-2.0
import SystemPackage
import Testing

@testable import AsyncIO

/// Durations, descriptors and signals at their limits and beyond.
@Suite("The loop: durations and numbers at their limits")
struct LoopLimitTests {
  static let durations: [Duration] = [
    Duration(secondsComponent: .min, attosecondsComponent: 0), .seconds(Int64.min), .nanoseconds(-1), .zero,
    .nanoseconds(1), .seconds(Int64.max),
    Duration(secondsComponent: .max, attosecondsComponent: 999_999_999_999_999_999),
  ]

  @Test("a callback after any duration", arguments: durations)
  func callLater(_ delay: Duration) throws {
    try runLoop { loop, kernel in
      var calls = 0
      let handle = loop.callLater(delay) { calls += 1 }
      loop.callAt(loop.time.advanced(by: delay)) { calls += 1 }.cancel()
      try await loop.sleep(for: .milliseconds(1))
      try await loop.turn()
      #expect(calls == (delay > .seconds(1) ? 0 : 1))
      handle.cancel()
    }
  }

  @Test("a sleep of any duration ends, or can be cancelled", arguments: durations)
  func sleep(_ duration: Duration) throws {
    try runLoop { loop, kernel in
      for sleep in [
        { try await loop.sleep(for: duration) }, { try await loop.sleep(until: loop.time.advanced(by: duration)) },
        { try await loop.clock.sleep(until: loop.time.advanced(by: duration), tolerance: duration) },
      ] as [() async throws -> Void] {
        let task = loop.createTask { try await sleep() }
        try await loop.turn()
        task.cancel()
        let result = await task.outcome
        if duration > .seconds(1) { #expect(throws: CancellationError.self) { try result.get() } }
      }
    }
  }

  @Test("a callback counts as slow from any duration on", arguments: durations)
  func slowCallbacks(_ duration: Duration) throws {
    try withLoop { loop, kernel in
      loop.debug = true
      loop.slowCallbackDuration = duration
      loop.callSoon {}
      loop.stop()
      try loop.runForever()
    }
  }

  @Test("the default executor's end waits for any duration", arguments: durations)
  func shutdown(_ limit: Duration) throws {
    try runLoop { loop, kernel in
      try await loop.runInExecutor {}
      try await loop.shutdownDefaultExecutor(timeout: limit)
    }
  }

  @Test("a descriptor that is none is an error", arguments: [Int32.min, -1, .max - 1, .max])
  func descriptors(_ number: Int32) throws {
    try runLoop { loop, kernel in
      let descriptor = FileDescriptor(rawValue: number)
      for call in [
        { _ = try loop.addReader(descriptor) {} }, { _ = try loop.addWriter(descriptor) {} },
        { _ = try await loop.openReadPipe(descriptor) }, { _ = try await loop.openWritePipe(descriptor) },
        { _ = try await loop.sockRecv(Socket(adopting: descriptor), 1) },
      ] as [() async throws -> Void] {
        let code = try await ioError { try await call() }.code
        #expect(code == .badFileDescriptor)
      }
      if number < 0 {
        #expect(throws: IOError.self) { try loop.removeReader(descriptor) }
      } else {
        let (hadReader, hadWriter) = (try loop.removeReader(descriptor), try loop.removeWriter(descriptor))
        #expect(!hadReader && !hadWriter)
      }
    }
  }

  @Test("a number that is no signal's is an error", arguments: [Int32.min, -1, 0, 65, .max])
  func signals(_ number: Int32) throws {
    try runLoop { loop, kernel in
      let signal = Signal(rawValue: number)
      #expect(throws: EventLoopError.self) { try loop.addSignalHandler(signal) {} }
      #expect(throws: EventLoopError.self) { try loop.removeSignalHandler(signal) }
      #expect(!"\(signal)".isEmpty)
    }
  }

  @Test(
    "a real-time signal that there is none of is a programmer error that says so", arguments: [-1, 31, Int.min, .max])
  func realTimeSignals(_ number: Int) async {
    let result = await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
      [number = number as Int] in
      _ = Signal.realTime(number)
    }
    let text = String(decoding: result?.standardErrorContent ?? [], as: UTF8.self)
    #expect(text.contains("Signal.realTime(\(number)): there are 31"))
  }
}
