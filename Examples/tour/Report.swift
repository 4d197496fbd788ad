// SPDX-License-Identifier: Apache-2.0
import Glibc

/// Prints the tour, in colour on a terminal that wants it.
struct Report {
  private let hasColour = isatty(STDOUT_FILENO) != 0 && getenv("NO_COLOR") == nil

  private static let nameWidth = 36
  private static let timeWidth = 9

  func title(_ text: String) { print(style("1", text)) }

  func chapter(_ text: String) { print("\n" + style("1;36", text)) }

  /// Names a step before it runs, so that one that hangs can be told.
  func begin(_ name: String) {
    print("  " + name.padded(to: Report.nameWidth), terminator: "")
    fflush(nil)
  }

  func end(_ outcome: String, _ duration: Duration) {
    let time = duration.milliseconds.padded(to: Report.timeWidth, atStart: true)
    print("\(style("32", time))  \(style("2", outcome))")
  }

  func fail(_ error: any Error) {
    print(style("1;31", "FAILED".padded(to: Report.timeWidth, atStart: true)) + "  \(error)")
  }

  func rate(_ name: String, _ perSecond: Double, _ unit: String) {
    let number = Int(perSecond).grouped.padded(to: Report.timeWidth + 2, atStart: true)
    print("  " + name.padded(to: Report.nameWidth - 2) + style("32", number) + "  " + style("2", unit))
  }

  func summary(steps: Int, _ failures: Int, _ duration: Duration) {
    let tenths = Int((duration / .milliseconds(100)).rounded())
    let verdict = failures == 0 ? style("1;32", "All \(steps) steps passed") : style("1;31", "\(failures) failed")
    print("\n\(verdict) in \(tenths / 10).\(tenths % 10) s")
  }

  private func style(_ code: String, _ text: String) -> String {
    hasColour ? "\u{1B}[\(code)m\(text)\u{1B}[0m" : text
  }
}

extension String {
  func padded(to width: Int, atStart: Bool = false) -> String {
    let padding = String(repeating: " ", count: max(0, width - count))
    return atStart ? padding + self : self + padding
  }
}

extension Int {
  /// With a comma between groups of three digits.
  var grouped: String {
    var digits = Array(String(magnitude))
    var index = digits.count - 3
    while index > 0 {
      digits.insert(",", at: index)
      index -= 3
    }
    return (self < 0 ? "-" : "") + String(digits)
  }
}

extension Duration {
  /// In milliseconds, with two decimals.
  var milliseconds: String {
    let hundredths = Int((self / .microseconds(10)).rounded())
    let decimals = String(hundredths % 100).padded(to: 2, atStart: true)
    return "\((hundredths / 100).grouped).\(decimals.map { $0 == " " ? "0" : String($0) }.joined()) ms"
  }
}
