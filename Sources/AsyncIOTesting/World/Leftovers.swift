// SPDX-License-Identifier: Apache-2.0
import AsyncIO

/// What is left on hosts whose programs have ended.
struct Leftovers {
  private var lines: [String] = []

  init(_ hosts: [SimulatedHost]) {
    for host in hosts where host.isUp {
      let suffix = hosts.count > 1 ? " on \(host.name)" : ""
      for state in host.loop.taskStates { lines.append("\(state.line)\(suffix)") }
      for timer in host.loop.timerStates where !timer.isOfTask {
        let place = timer.callSite.map { "set at \($0)" } ?? "set where debug mode would tell"
        lines.append("a timer for \(Duration.nanoseconds(timer.deadline.nanoseconds)), \(place)\(suffix)")
      }
      // Signal handlers have a counter, and may stay until the loop is closed.
      for (number, file) in host.kernel?.openFiles ?? [] where !(file is CounterFile) {
        lines.append("\(file.label), descriptor \(number)\(suffix)")
      }
    }
  }

  /// Whether there are any: asked again and again, and so without a look at more than it takes.
  static func exist(on hosts: [SimulatedHost]) -> Bool {
    hosts.contains { host in
      guard host.isUp else { return false }
      return host.loop.taskCount > 0 || host.kernel?.hasOpenFiles == true || host.loop.hasTimersOfCallbacks
    }
  }

  func check() throws {
    guard !lines.isEmpty else { return }
    throw SimulationError(
      .leftovers, "the program has ended, and has left behind:\n  " + lines.joined(separator: "\n  "))
  }
}
