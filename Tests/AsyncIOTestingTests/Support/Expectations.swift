// SPDX-License-Identifier: Apache-2.0
import AsyncIO
import SystemPackage
import Testing

/// Checks that a call fails with an error number of the system's.
func expectIOError(
  _ code: Errno, sourceLocation: SourceLocation = #_sourceLocation, _ body: () async throws -> Void
) async {
  do {
    try await body()
    Issue.record("it succeeded", sourceLocation: sourceLocation)
  } catch let error as IOError {
    #expect(error.code == code, "\(error)", sourceLocation: sourceLocation)
  } catch {
    Issue.record("it failed with something else: \(error)", sourceLocation: sourceLocation)
  }
}
