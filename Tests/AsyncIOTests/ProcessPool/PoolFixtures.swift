// SPDX-License-Identifier: Apache-2.0
import AsyncIOProcessPool
import Foundation
import SystemPackage
import Testing

@testable import AsyncIO

/// Where the program is that the tests' pools start.
func poolProbe() throws -> FilePath {
  // Beside the test bundle, or beside the program that runs it.
  let places =
    [Bundle.main.bundleURL, Bundle.main.bundleURL.deletingLastPathComponent()]
    + CommandLine.arguments.map { URL(fileURLWithPath: $0).deletingLastPathComponent() }
  let candidates = places.map { $0.appendingPathComponent("PoolProbe").path }
  return FilePath(try #require(candidates.first { FileManager.default.isExecutableFile(atPath: $0) }))
}

/// The pool's error that the call threw.
func poolError(
  sourceLocation: SourceLocation = #_sourceLocation, _ body: () async throws -> some Any
) async throws -> ProcessPoolError {
  let error = await thrown(sourceLocation: sourceLocation, body)
  return try #require(error as? ProcessPoolError, "\(String(describing: error))", sourceLocation: sourceLocation)
}
