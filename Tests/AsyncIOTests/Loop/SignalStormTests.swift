// SPDX-License-Identifier: Apache-2.0
import Foundation
import Glibc
import SystemPackage
import Testing

@testable import AsyncIO

@Suite struct SignalStormTests {
  @Test("of 10,000 signals that another thread sends, none is lost and none runs twice")
  func fromAnotherThread() throws {
    let signal = Signal.test(26)
    let count = 10_000
    try withLoop { loop, kernel in
      var calls = 0
      try loop.addSignalHandler(signal) {
        calls += 1
        if calls == count { loop.stop() }
      }
      let sender = TestThread { for _ in 0..<count { signal.sendToThread() } }
      try loop.runForever()
      sender.join()
      loop.stop()
      try loop.runForever()
      #expect(calls == count)
    }
  }

  @Test("nor of those that come while the loop is busy, in portions that leave room for others")
  func againstABusyLoop() throws {
    let signal = Signal.test(27)
    let count = 20_000
    try withLoop { loop, kernel in
      var calls = 0
      var between: [Int] = []
      try loop.addSignalHandler(signal) { calls += 1 }
      for _ in 0..<count { signal.sendToThread() }
      func turn() {
        between.append(calls)
        if calls < count { loop.callSoon(turn) } else { loop.stop() }
      }
      loop.callSoon(turn)
      try loop.runForever()
      #expect(calls == count)
      let portions = zip(between.dropFirst(), between).map { $0 - $1 }
      #expect(portions.allSatisfy { $0 <= 2 * SignalQueue.capacity })
    }
  }

  @Test("of 10,000 signals that another process sends, none is lost")
  func fromAnotherProcess() throws {
    let signal = Signal.test(28)
    let count = 10_000
    try withLoop { loop, kernel in
      var calls = 0
      let sender = Process()
      let acknowledgements = Pipe()
      sender.executableURL = URL(filePath: "/usr/bin/env")
      // In batches, since the kernel queues a limited number of them.
      sender.arguments = [
        "python3", "-c",
        """
        import os, sys
        for _ in range(\(count / 100)):
            for _ in range(100): os.kill(\(getpid()), \(signal.rawValue))
            sys.stdin.buffer.read(1)
        """,
      ]
      sender.standardInput = acknowledgements
      try loop.addSignalHandler(signal) {
        calls += 1
        if calls % 100 == 0 { acknowledgements.fileHandleForWriting.write(Data([0])) }
        if calls == count { loop.stop() }
      }
      try sender.run()
      try loop.runForever()
      sender.waitUntilExit()
      #expect(sender.terminationStatus == 0)
      #expect(calls == count)
    }
  }

  @Test("calls that signals interrupt all the time go on: connections, timers, tasks, look-ups and calls from threads")
  func interruptedCalls() throws {
    let signal = Signal.test(29)
    let target = Shared<UInt?>(nil)
    let isOver = Shared(false)
    // Right at the loop's thread, so that each hits whatever call the loop is in.
    let sender = TestThread {
      while !isOver.current {
        if let thread = target.current { pthread_kill(pthread_t(thread), signal.rawValue) }
        usleep(20)
      }
    }
    defer {
      isOver.withLock { $0 = true }
      sender.join()
    }
    try Signal.admitted([signal]) { try exchange(signal, target) }
  }

  /// Talks to itself while signals rain on its thread.
  private func exchange(_ signal: Signal, _ target: Shared<UInt?>) throws {
    try runLoop { loop, kernel in
      var signals = 0
      try loop.addSignalHandler(signal) { signals += 1 }
      target.withLock { $0 = UInt(pthread_self()) }
      defer { target.withLock { $0 = nil } }
      let server = try await loop.startServer(host: "127.0.0.1", port: 0) { reader, writer in
        for try await line in reader.lines { try await writer.send(line + "\n") }
      }
      let payload = String(repeating: "x", count: 30_000)
      for round in 0..<10 {
        let (reader, writer) = try await loop.openConnection(host: "127.0.0.1", port: server.port)
        for _ in 0..<5 {
          try await writer.send(payload + "\n")
          let line = try await reader.readLine()
          #expect(line.count == payload.count + 1)
        }
        writer.close()
        try await loop.sleep(for: .microseconds(200))
        if round % 5 == 0 {
          let names = try await loop.getnameinfo(try #require(SocketAddress(ip: "127.0.0.1", port: 1)))
          #expect(!names.host.isEmpty)
        }
      }
      try await loop.until { signals > 50 }
      server.close()
      // Nobody may be sending any more when the handler goes.
      target.withLock { $0 = nil }
    }
  }
}
