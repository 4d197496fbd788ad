// SPDX-License-Identifier: Apache-2.0
// nio-execute: what SwiftNIO's execute costs, on the loop and from another thread, in ns per operation, as
// callsoon-bench measures callSoon and callSoonThreadsafe.
import ArgumentParser
import Dispatch
import Measuring
import NIOCore
import NIOPosix

@main
struct NIOExecute: ParsableCommand {
  static let configuration = CommandConfiguration(commandName: "nio-execute")

  @Option(help: "Callbacks in a round.")
  var operations = 1_000_000
  @Option(help: "Calls from another thread in a round.")
  var sends = 1_000_000
  @Option(help: "Rounds.")
  var rounds = 5

  /// How many callbacks are scheduled before the loop gets to run them.
  static let batch = 1000

  func run() throws {
    let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
    var figures = Figures()
    for _ in 0..<rounds {
      figures.add("execute_ns", executeOnLoop(group.next()).wall)
      let sent = executeFromAnotherThread(group.next())
      figures.add("execute_elsewhere_ns", sent.wall)
      figures.add("execute_elsewhere_cpu_ns", sent.cpu)
    }
    try group.syncShutdownGracefully()
    print(figures.line)
  }

  private func executeOnLoop(_ loop: any EventLoop) -> Spent {
    let counter = Counter()
    let done = DispatchSemaphore(value: 0)
    let operations = operations
    @Sendable func next() {
      if counter.value >= operations {
        done.signal()
        return
      }
      for _ in 0..<NIOExecute.batch { loop.execute { counter.value += 1 } }
      loop.execute(next)
    }
    let start = Spent.now
    loop.execute(next)
    done.wait()
    return start.perOperation(counter.value)
  }

  private func executeFromAnotherThread(_ loop: any EventLoop) -> Spent {
    let counter = Counter()
    let done = DispatchSemaphore(value: 0)
    let start = Spent.now
    for _ in 1..<sends { loop.execute { counter.value += 1 } }
    loop.execute { done.signal() }
    done.wait()
    precondition(counter.value == sends - 1)
    return start.perOperation(sends)
  }
}
