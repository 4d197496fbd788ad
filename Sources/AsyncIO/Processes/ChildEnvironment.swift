// SPDX-License-Identifier: Apache-2.0

/// The environment variables of a child. Python's `os.environ`, or the mapping that `subprocess.Popen` takes as `env`.
///
/// ```swift
/// var environment = ChildEnvironment.current
/// environment["LANG"] = "C"
/// environment["DISPLAY"] = nil
/// ```
///
/// Names and values are bytes to the system. Those that are no UTF-8 are passed on as they are, and can be set by
/// ``subscript(bytes:)``.
public struct ChildEnvironment: Hashable, Sendable, ExpressibleByDictionaryLiteral {
  private var variables: [[UInt8]: [UInt8]]

  /// No variable.
  public init() { variables = [:] }

  /// The variables of a dictionary.
  public init(_ variables: [String: any SystemText]) {
    self.init()
    for (name, value) in variables { self[bytes: Array(name.utf8)] = value.systemBytes }
  }

  /// The variables of a literal; of those that have the same name the last counts.
  public init(dictionaryLiteral elements: (String, any SystemText)...) {
    self.init()
    for (name, value) in elements { self[bytes: Array(name.utf8)] = value.systemBytes }
  }

  /// A copy of this process's own environment, but for what told this process of the sockets that it was started with
  /// (`LISTEN_PID`, `LISTEN_FDS` and their like): a child has others, or none.
  public static var current: ChildEnvironment {
    var environment = ChildEnvironment(entries: Environment.entries)
    environment.removeAddressed()
    return environment
  }

  /// Our own environment where a child must not have it as it is; nil where it may.
  static var replacingOurs: ChildEnvironment? {
    Environment.isSet(StartVariables.processID) ? .current : nil
  }

  /// Removes what tells one process of its sockets, and is for none of its children.
  mutating func removeAddressed() {
    for name in StartVariables.addressed { self[name] = nil }
  }

  /// The variables of `NAME=value` each. What has no name is left out.
  init(entries: [[UInt8]]) {
    self.init()
    for entry in entries {
      guard let end = entry.firstIndex(of: UInt8(ascii: "=")), end > 0 else { continue }
      let name = Array(entry[..<end])
      // Where a name occurs twice, the first one is what everybody finds.
      if self[bytes: name] == nil { self[bytes: name] = Array(entry[(end + 1)...]) }
    }
  }

  /// A variable's value; nil for none. Reading repairs what is no UTF-8.
  public subscript(name: String) -> String? {
    get { self[bytes: Array(name.utf8)].map { String(decoding: $0, as: UTF8.self) } }
    set { self[bytes: Array(name.utf8)] = newValue.map { Array($0.utf8) } }
  }

  /// A variable's value as the system has it; nil for none.
  public subscript(bytes name: [UInt8]) -> [UInt8]? {
    get { variables[name] }
    set { variables[name] = newValue }
  }

  /// `NAME=value` each.
  ///
  /// - Throws: `.invalidArgument` for what the system's strings cannot hold.
  func entries() throws(EventLoopError) -> [[UInt8]] {
    var entries: [[UInt8]] = []
    for (name, value) in variables {
      guard !name.isEmpty, !name.contains(UInt8(ascii: "=")), !name.contains(0) else {
        throw EventLoopError(.invalidArgument, "\"\(name.printable())\" is no name for an environment variable")
      }
      guard !value.contains(0) else {
        throw EventLoopError(.invalidArgument, "the environment variable \(name.printable()) contains a zero byte")
      }
      entries.append(name + [UInt8(ascii: "=")] + value)
    }
    return entries
  }
}
