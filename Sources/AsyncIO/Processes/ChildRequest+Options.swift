// SPDX-License-Identifier: Apache-2.0
import SystemPackage

extension ChildRequest {
  /// The request for a program and its options.
  ///
  /// - Throws: `.invalidArgument` for what the system's strings cannot hold.
  init(_ program: String, _ arguments: [String], _ options: SubprocessOptions) throws(EventLoopError) {
    try ChildRequest.check(program, "the program's name")
    for argument in arguments { try ChildRequest.check(argument, "an argument of \(program)") }
    let paths = ChildRequest.candidates(for: program, in: options.environment)
    self.init(program: program, paths: paths, arguments: [program] + arguments)
    if let variables = options.environment {
      environment = try ChildRequest.strings(of: variables)
    }
    if let folder = options.workingDirectory {
      try ChildRequest.check(folder, "the working directory")
      directory = folder
    }
    for (number, source) in options.descriptors.sorted(by: { $0.key < $1.key }) {
      guard number > 2 else {
        throw EventLoopError(.invalidArgument, "descriptor \(number) of a child is a standard stream, or none at all")
      }
      descriptors.append((number, source))
    }
    startsSession = options.startNewSession
    processGroup = options.processGroup
    user = options.user
    group = options.group
    extraGroups = options.extraGroups
    fileModeMask = options.umask.map { UInt32($0.rawValue) }
  }

  private static func check(_ text: String, _ what: String) throws(EventLoopError) {
    if text.utf8.contains(0) { throw EventLoopError(.invalidArgument, "\(what) contains a zero byte") }
  }

  private static func strings(of environment: [String: String]) throws(EventLoopError) -> [String] {
    var strings: [String] = []
    for (name, value) in environment {
      try check(name, "the name of an environment variable")
      try check(value, "the environment variable \(name)")
      guard !name.isEmpty, !name.utf8.contains(UInt8(ascii: "=")) else {
        throw EventLoopError(.invalidArgument, "\"\(name)\" is no name for an environment variable")
      }
      strings.append("\(name)=\(value)")
    }
    return strings
  }

  /// Where a program may be: itself if its name is a path, else in every folder of the child's `PATH`.
  private static func candidates(for program: String, in environment: [String: String]?) -> [String] {
    if program.isEmpty || program.utf8.contains(UInt8(ascii: "/")) { return [program] }
    let path = environment.map { $0["PATH"] } ?? Environment.value("PATH")
    return (path ?? "/bin:/usr/bin").split(separator: ":", omittingEmptySubsequences: false).map { folder in
      // No name means the working directory.
      folder.isEmpty ? "./\(program)" : "\(folder)/\(program)"
    }
  }
}
