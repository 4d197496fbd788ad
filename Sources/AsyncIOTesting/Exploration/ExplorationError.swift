// SPDX-License-Identifier: Apache-2.0

/// A seed with which a test fails, and what it takes for that.
public struct ExplorationError: Error, CustomStringConvertible {
  /// The seed.
  public let seed: UInt64
  /// What the test fails with.
  public let error: any Error
  /// The numbers of the faults that it takes.
  public let faults: [Int]
  /// How many faults had happened when it failed first.
  public let faultCount: Int
  /// How many choices have to be drawn from the seed, of the first, when the others take their natural course.
  public let choices: Int
  /// How many choices there were when it failed first.
  public let choiceCount: Int
  /// Where the exploration is.
  private let place: String

  /// - Parameters:
  ///   - least: what is left of it.
  ///   - failure: the first failure.
  init(_ least: Exploration.Failure, from failure: Exploration.Failure, _ file: StaticString, _ line: UInt) {
    seed = least.seed
    error = least.error
    faults = least.faults
    faultCount = failure.faults.count
    choices = least.choices
    choiceCount = failure.choices
    place = "\(file):\(line)"
  }

  /// The test that repeats just this, to be pasted.
  public var reproduction: String {
    var only = faultCount == 0 ? "" : ", onlyFaults: [\(faults.map(String.init).joined(separator: ", "))]"
    if choices < choiceCount { only += ", firstChoices: \(choices)" }
    return """
      @Test func seed\(seed)() async throws {
        try await withSimulatedNetwork(seed: \(seed)\(only)) { network in
          // The body of the exploration at \(place).
        }
      }
      """
  }

  /// Seed, error, and the test that repeats it.
  public var description: String {
    var takes: [String] = []
    if faultCount > 0 { takes.append("\(faults.count) of the \(faultCount) faults that had happened") }
    if choices < choiceCount {
      takes.append(
        choices == 0 ? "none of the \(choiceCount) choices" : "the first \(choices) of \(choiceCount) choices")
    }
    return """
      with seed \(seed) the test fails: \(error)
      \(takes.isEmpty ? "" : "It takes \(takes.joined(separator: " and ")).\n")ASYNCIO_SEED=\(seed) runs it again, as does this test:

      \(reproduction)
      """
  }
}
