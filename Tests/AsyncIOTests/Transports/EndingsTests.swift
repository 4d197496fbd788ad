// SPDX-License-Identifier: Apache-2.0
import SystemPackage
import Testing

@testable import AsyncIO

@Suite("Transports that end by the hundred")
struct EndingsTests {
  /// More than have their turn in two iterations.
  private let number = 2 * Endings.perIteration + 50

  private func transports(_ loop: EventLoop, _ kernel: TestKernel) async throws -> [Recorder] {
    var recorders: [Recorder] = []
    for _ in 0..<number {
      let (near, far) = try await PairKind.socketPair.make(loop, kernel)
      far.close()
      let recorder = Recorder()
      _ = try await loop.createConnection({ recorder }, socket: near)
      recorder.transport.pauseReading()
      recorders.append(recorder)
    }
    return recorders
  }

  @Test("a few hundred are told in an iteration, in the order in which they ended; others have their turns between")
  func others() throws {
    try runLoop { loop, kernel in
      let recorders = try await transports(loop, kernel)
      var lost: [Int] = []
      for (index, recorder) in recorders.enumerated() { recorder.onLost = { lost.append(index) } }
      // One callback in each iteration looks how far it is.
      var counts: [Int] = []
      func look() {
        counts.append(lost.count)
        if lost.count < number, counts.count < number { loop.callSoon(look) }
      }
      for recorder in recorders { recorder.transport.abort() }
      loop.callSoon(look)
      try await loop.until { lost.count == number && counts.last == number }
      #expect(lost == Array(0..<number))
      let steps = zip(counts, [0] + counts).map { $0 - $1 }
      #expect(steps.allSatisfy { $0 <= Endings.perIteration } && steps.count { $0 > 0 } == 3, "\(steps)")
      // One that ends later has its turn at once.
      let late = try await transports(loop, kernel)[0]
      late.transport.abort()
      try await loop.turn()
      #expect(late.isLost && late.lossCount == 1)
    }
  }

  @Test("one that ends while others are late comes behind them")
  func behindThoseThatAreLate() throws {
    try runLoop { loop, kernel in
      let recorders = try await transports(loop, kernel)
      let late = try await PairKind.socketPair.transport(loop, kernel).0
      var lost = 0
      for recorder in recorders { recorder.onLost = { lost += 1 } }
      var lostBefore = 0
      late.onLost = { lostBefore = lost }
      for recorder in recorders { recorder.transport.abort() }
      recorders[0].onLost = {
        lost += 1
        late.transport.abort()
      }
      try await loop.until { late.isLost }
      #expect(lostBefore == number && lost == number)
      late.peer?.close()
    }
  }

  @Test("all that ended before a stop are told before the run ends", arguments: [false, true])
  func beforeStop(isStoppedLater: Bool) throws {
    try withLoop { loop, kernel in
      let recorders = try loop.runUntilComplete { try await transports(loop, kernel) }
      loop.callSoon {
        for recorder in recorders { recorder.transport.abort() }
        // Behind the first turns of those that ended, when the others are late already.
        if isStoppedLater { loop.callSoon { loop.stop() } } else { loop.stop() }
      }
      try loop.runForever()
      #expect(recorders.allSatisfy { $0.lossCount == 1 })
    }
  }

  @Test("those whose turn has not come when the loop is closed are told nothing, and released")
  func closedLoop() throws {
    try withLoop { loop, kernel in
      var recorders = try loop.runUntilComplete { try await transports(loop, kernel) }
      weak let last = recorders.last?.transport
      for recorder in recorders { recorder.transport.abort() }
      loop.callSoon { loop.callSoon { recorders[0].onMade = nil } }
      try loop.runOnce()
      #expect(recorders.count(where: \.isLost) == Endings.perIteration)
      loop.close()
      #expect(recorders.count(where: \.isLost) == Endings.perIteration && last != nil)
      recorders = []
      #expect(last == nil)
    }
  }
}
