// SPDX-License-Identifier: Apache-2.0
import Foundation

/// Compiles small programs against the `AsyncIO` module that the running tests were built with.
struct SnippetCompiler: Sendable {
  /// Which isolation declarations have that name none, the compiler's `-default-isolation`.
  enum DefaultIsolation: String, CaseIterable, Sendable {
    case nonisolated
    case mainActor = "MainActor"
  }

  struct Failure: Error, CustomStringConvertible {
    let description: String
  }

  static let shared = Result { try SnippetCompiler() }

  private let compiler: String
  private let flags: [String]

  /// Finds the module beside the test bundle, and what it needs in the description of the build.
  private init() throws {
    let bundle = try FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe")
    let folder = URL(filePath: bundle).deletingLastPathComponent()
    let build = try String(contentsOf: folder.appending(path: "description.json"), encoding: .utf8)
      .replacing("\\/", with: "/")
    guard let compiler = build.firstMatch(of: /"([^"]*\/swiftc)"/)?.output.1 else {
      throw Failure(description: "no compiler is named in the build's description")
    }
    self.compiler = String(compiler)
    let moduleMaps = Set(build.matches(of: /"(-fmodule-map-file=[^"]*)"/).map { String($0.output.1) })
    flags =
      [
        "-swift-version", "6",
        "-I", folder.appending(path: "Modules").path(percentEncoded: false),
        "-module-cache-path", folder.appending(path: "ModuleCache").path(percentEncoded: false),
      ] + moduleMaps.sorted().flatMap { ["-Xcc", $0] }
  }

  /// Compiles a source file as part of a library.
  ///
  /// As far as SIL: who may send what where is found out on the way there, which `-typecheck` does not go.
  ///
  /// - Parameters:
  ///   - source: the file's text.
  ///   - isolation: what declarations that name none have.
  ///   - staysWithCaller: whether async functions that name no isolation run where their caller does.
  /// - Returns: the compiler's errors, each in one line; none when it compiles.
  func errors(
    in source: String, _ isolation: DefaultIsolation = .nonisolated, staysWithCaller: Bool = true
  ) async throws -> [String] {
    let folder = FileManager.default.temporaryDirectory.appending(path: "snippet-\(UUID().uuidString)")
    try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(at: folder) }
    let file = folder.appending(path: "Snippet.swift")
    try Data(source.utf8).write(to: file)
    let log = folder.appending(path: "log")
    try Data().write(to: log)
    let status = try await run(
      flags + (staysWithCaller ? ["-enable-upcoming-feature", "NonisolatedNonsendingByDefault"] : []) + [
        "-default-isolation", isolation.rawValue, "-diagnostic-style", "llvm", "-parse-as-library", "-emit-sil",
        "-o", "/dev/null", file.path(percentEncoded: false),
      ], log: FileHandle(forWritingTo: log))
    let output = try String(contentsOf: log, encoding: .utf8)
    let errors = output.split(separator: "\n").filter { $0.contains(" error: ") }.map(String.init)
    guard (status == 0) == errors.isEmpty else {
      throw Failure(description: "the compiler ended with status \(status):\n\(output)")
    }
    return errors
  }

  private func run(_ arguments: [String], log: FileHandle) async throws -> Int32 {
    let process = Process()
    process.executableURL = URL(filePath: compiler)
    process.arguments = arguments
    process.standardError = log
    process.standardOutput = log
    return try await withCheckedThrowingContinuation { continuation in
      process.terminationHandler = { continuation.resume(returning: $0.terminationStatus) }
      do {
        try process.run()
      } catch {
        process.terminationHandler = nil
        continuation.resume(throwing: error)
      }
    }
  }
}
