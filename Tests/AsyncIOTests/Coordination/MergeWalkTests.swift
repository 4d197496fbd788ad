// SPDX-License-Identifier: Apache-2.0
import Testing

@testable import AsyncIO

@Suite("A random walk with cancellations, beside a model: merged sequences")
struct MergeWalkTests {
  /// What a merged sequence of queues does, task by task.
  private final class Model {
    let walk: Walk<Int>
    /// What is in the queues.
    var queues: [[Int]]
    /// Sources that wait for their queue.
    var idle: Set<Int> = []
    /// What sources have given, and nobody has taken.
    var line: [(source: Int, element: Int)] = []
    /// Who waits for an element.
    var taker: Walk<Int>.Call?
    var hasBegun = false
    var isOver = false

    init(_ walk: Walk<Int>, _ queues: [[Int]]) {
      self.walk = walk
      self.queues = queues
    }

    func put(_ element: Int, _ source: Int) {
      // One that waits is given the element at once, and goes on later.
      guard idle.remove(source) != nil else { return queues[source].append(element) }
      walk.later { self.give(element, source) }
    }

    func take(_ call: Walk<Int>.Call) {
      if !hasBegun {
        hasBegun = true
        for source in queues.indices { walk.later { self.ask(source) } }
      }
      if !line.isEmpty {
        let (source, element) = line.removeFirst()
        call.expected = .value(element)
        walk.later { self.ask(source) }
      } else if call.isCancelled {
        end()
        expectCancellation(call)
      } else {
        taker = call
      }
    }

    func cancel(_ call: Walk<Int>.Call) {
      // Once it was given an element it is too late.
      guard call === taker else { return }
      taker = nil
      walk.later { self.end() }
      expectCancellation(call)
    }

    private func end() {
      isOver = true
      idle.removeAll()
      line.removeAll()
    }

    /// The sources end, and then the call does.
    private func expectCancellation(_ call: Walk<Int>.Call) {
      call.expected = .cancelled
      walk.later { self.walk.later { self.walk.later {} } }
    }

    private func ask(_ source: Int) {
      // A cancelled one takes what needs no waiting, and loses it.
      if queues[source].isEmpty {
        if !isOver { idle.insert(source) }
      } else {
        give(queues[source].removeFirst(), source)
      }
    }

    private func give(_ element: Int, _ source: Int) {
      if isOver { return }
      if let call = taker {
        taker = nil
        call.expected = .value(element)
        ask(source)
      } else {
        line.append((source, element))
      }
    }
  }

  @Test("merged queues", arguments: WalkLength.seeds)
  func merged(_ seed: UInt64) throws {
    try runLoop(limits: WalkLength.limits) { loop, _ in
      let walk = Walk<Int>(loop, seed)
      let queues = (0..<3).map { _ in Queue<Int>(loop) }
      var model = Model(walk, [[], [], []])
      var run = MergeRun(loop, queues.map { Merged.source($0) })
      var number = 0
      walk.onCancel = { model.cancel($0) }
      try await walk.run {
        if walk.number(below: 3) == 0 {
          let source = walk.number(below: 3)
          number += 1
          #expect(queues[source].tryPut(number))
          model.put(number, source)
        } else if walk.calls.isEmpty {
          if model.isOver {
            model = Model(walk, model.queues)
            run = MergeRun(loop, queues.map { Merged.source($0) })
          }
          walk.call({ [run] in try await run.next() ?? -1 }) { [model] in model.take($0) }
        }
      } check: {
        let counts = queues.map(\.count)
        return counts == model.queues.map(\.count) ? nil : "\(counts) elements, not \(model.queues.map(\.count))"
      }
    }
  }
}
