// SPDX-License-Identifier: Apache-2.0

extension String {
  /// The text as it may stand in an error or a log, whoever has written it: on one line, without anything that moves a
  /// terminal's cursor or turns the direction of writing round, and not longer than the limit in characters.
  package func printable(limit: Int = 256) -> String {
    var text = ""
    for (index, scalar) in unicodeScalars.enumerated() {
      if index == limit { return text + "…" }
      switch scalar.properties.generalCategory {
      case .control, .format, .lineSeparator, .paragraphSeparator, .privateUse, .unassigned:
        text += "\\u{" + String(scalar.value, radix: 16) + "}"
      default: text.unicodeScalars.append(scalar)
      }
    }
    return text
  }
}
