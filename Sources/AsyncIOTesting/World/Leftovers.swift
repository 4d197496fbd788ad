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
      for (number, file) in host.kernel?.openFiles ?? [] {
        lines.append("\(file.label), descriptor \(number)\(suffix)")
      }
    }
  }

  var isAny: Bool { !lines.isEmpty }

  func check() throws {
    guard isAny else { return }
    throw SimulationError(
      .leftovers, "the program has ended, and has left behind:\n  " + lines.joined(separator: "\n  "))
  }
}
