// SPDX-License-Identifier: Apache-2.0

/// A place in a program's source.
public struct CallSite: Hashable, Sendable, CustomStringConvertible {
  /// Made a string when somebody looks: one is noted for every task and future.
  private let literal: StaticString
  /// The line, from 1.
  public let line: UInt

  @usableFromInline
  init(_ file: StaticString, _ line: UInt) {
    literal = file
    self.line = line
  }

  /// The file, with its module.
  public var file: String { literal.description }

  /// Whether both are the same place.
  public static func == (a: CallSite, b: CallSite) -> Bool { a.line == b.line && a.file == b.file }

  /// Feeds file and line to the hasher.
  public func hash(into hasher: inout Hasher) {
    hasher.combine(file)
    hasher.combine(line)
  }

  /// `Module/File.swift:12`.
  public var description: String { "\(file):\(line)" }
}

/// A call site in memory of its own, for objects of which there are many, and few that have one.
final class CallSiteBox {
  let site: CallSite

  init(_ site: CallSite) { self.site = site }
}
