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
  /// Where the exploration is.
  private let place: String

  init(_ failure: Exploration.Failure, of count: Int, _ file: StaticString, _ line: UInt) {
    seed = failure.seed
    error = failure.error
    faults = failure.faults
    faultCount = count
    place = "\(file):\(line)"
  }

  /// The test that repeats just this, to be pasted.
  public var reproduction: String {
    let only = faultCount == 0 ? "" : ", onlyFaults: [\(faults.map(String.init).joined(separator: ", "))]"
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
    let taken = faultCount == 0 ? "" : " It takes \(faults.count) of the \(faultCount) faults that had happened."
    return """
      with seed \(seed) the test fails: \(error)
      \(taken.isEmpty ? "" : taken.dropFirst() + "\n")ASYNCIO_SEED=\(seed) runs it again, as does this test:

      \(reproduction)
      """
  }
}
