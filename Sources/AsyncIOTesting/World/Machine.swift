// SPDX-License-Identifier: Apache-2.0
import AsyncIO

/// A loop on a kernel of its own: what a host is from its start to its crash.
final class Machine {
  let name: String
  /// For the trace.
  let number: Int
  let loop: EventLoop
  let kernel: SimulatedKernel
  private unowned let world: World
  /// Whether its process was stopped by a signal: its loop has no turns, while its kernel goes on.
  var isStopped = false
  /// Its programs that have not ended.
  private(set) var programs: [any AnyLoopTask] = []

  init(_ world: World, _ kernel: SimulatedKernel, name: String, number: Int) throws {
    self.world = world
    self.kernel = kernel
    self.name = name
    self.number = number
    loop = try EventLoop(kernel: kernel)
    loop.noteSteps()
  }

  /// Whether its loop would find something to do.
  var isReady: Bool {
    if loop.isClosed || isStopped { return false }
    if loop.hasWork || kernel.poller?.hasReady == true { return true }
    guard let deadline = loop.nextDeadline else { return false }
    return deadline.nanoseconds <= kernel.clock.now
  }

  /// When its next timer is due, on the world's clock.
  var nextDeadline: Int64? {
    if loop.isClosed || isStopped { return nil }
    return loop.nextDeadline.flatMap { kernel.clock.worldTime(of: $0.nanoseconds) }
  }

  /// Notes that a program has begun.
  func add(_ program: some AnyLoopTask) {
    programs.append(program)
    program.whenDone { [unowned self] in programs.removeAll { $0 === program } }
  }

  /// Cancels its programs, and, once they have ended, the tasks that those have left: what `EventLoop.run` does.
  func cancelPrograms(then isOver: @escaping () -> Void) {
    cancel(programs) { [unowned self] in cancelRest(then: isOver) }
  }

  private func cancelRest(then isOver: @escaping () -> Void) {
    let left = loop.taskStates.map(\.task)
    if left.isEmpty { return isOver() }
    // A task may begin others on its way out.
    cancel(left) { [unowned self] in cancelRest(then: isOver) }
  }

  private func cancel(_ tasks: [any AnyLoopTask], then areOver: @escaping () -> Void) {
    if tasks.isEmpty { return areOver() }
    var left = tasks.count
    for task in tasks {
      task.cancel()
      task.whenDone {
        left -= 1
        if left == 0 { areOver() }
      }
    }
  }

  /// Runs one iteration of the loop.
  func turn() throws {
    kernel.note(.turn)
    do { try loop.runOnce() } catch {
      throw SimulationError(.failure, "the loop of \(name) failed: \(error)")
    }
  }
}
