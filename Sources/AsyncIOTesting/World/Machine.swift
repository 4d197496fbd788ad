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

  init(_ world: World, _ kernel: SimulatedKernel, name: String, number: Int) throws {
    self.world = world
    self.kernel = kernel
    self.name = name
    self.number = number
    loop = try EventLoop(kernel: kernel)
  }

  /// Whether its loop would find something to do.
  var isReady: Bool {
    if loop.isClosed { return false }
    if loop.hasWork || kernel.poller?.hasReady == true { return true }
    guard let deadline = loop.nextDeadline else { return false }
    return deadline.nanoseconds <= kernel.clock.now
  }

  /// When its next timer is due, on the world's clock.
  var nextDeadline: Int64? {
    if loop.isClosed { return nil }
    return loop.nextDeadline.flatMap { kernel.clock.worldTime(of: $0.nanoseconds) }
  }

  /// Runs one iteration of the loop.
  func turn() throws {
    kernel.note(.turn)
    do { try loop.runOnce() } catch {
      throw SimulationError(.failure, "the loop of \(name) failed: \(error)")
    }
  }
}
