// SPDX-License-Identifier: Apache-2.0
import Foundation
import Testing

/// The article on the inside names files and functions, which nobody but a test would notice to be gone.
@Suite struct TourTests {
  @Test("The files and functions that the tour of the inside goes through exist")
  func steps() throws {
    let root = URL(filePath: #filePath).appending(path: "../../..").standardizedFileURL
    let article = root.appending(path: "Sources/AsyncIO/AsyncIO.docc/ATourOfTheInside.md")
    let tour = try Tour(String(contentsOf: article, encoding: .utf8), sources: root.appending(path: "Sources"))
    #expect(tour.steps.count > 80, "the search finds hardly any step")
    for step in tour.missing { Issue.record("there is no \(step)") }
  }

  @Test("The search for steps sees what it should")
  func search() {
    let text = "1. `LoopCore`: `close` shuts it,\n   `Nowhere`: `run`, `stop(_:)`. Then `Loop+A`:\n   `b`."
    let steps = Tour.steps(in: text).map { "\($0)" }
    #expect(steps == ["close in LoopCore", "run in Nowhere", "stop in Nowhere", "b in Loop+A"])
  }
}

private struct Tour {
  /// What is entered on the way: a function of a file.
  struct Step: CustomStringConvertible {
    let file: String
    let function: String
    var description: String { "\(function) in \(file)" }
  }

  let steps: [Step]
  /// Those whose file, or whose function in it, does not exist.
  let missing: [Step]

  init(_ article: String, sources: URL) throws {
    steps = Tour.steps(in: article)
    var texts: [String: String] = [:]
    for path in try FileManager.default.subpathsOfDirectory(atPath: sources.path) where path.hasSuffix(".swift") {
      let file = sources.appending(path: path)
      texts[file.deletingPathExtension().lastPathComponent] = try String(contentsOf: file, encoding: .utf8)
    }
    missing = try steps.filter { step in
      // A callback of C's is a constant.
      let declaration = try Regex("\\b(func|let) \(step.function)\\b")
      return texts[step.file]?.contains(declaration) != true
    }
  }

  /// The steps that an article names: a file in front of a colon, and one or several functions behind it.
  static func steps(in article: String) -> [Step] {
    let line = article.replacing(/\n +/, with: " ")
    return line.matches(of: /`(?<file>\w+(\+\w+)?)`: (?<functions>`[^`]+`(, `[^`]+`)*)/).flatMap { match in
      match.functions.matches(of: /`(?<function>\w+)[^`]*`/).map { function in
        Step(file: String(match.file), function: String(function.function))
      }
    }
  }
}
