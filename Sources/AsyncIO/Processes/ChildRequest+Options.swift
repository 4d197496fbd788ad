// SPDX-License-Identifier: Apache-2.0
import SystemPackage

extension ChildRequest {
  /// The request for a program and its options.
  ///
  /// - Throws: `.invalidArgument` for what the system's strings cannot hold.
  init(
    _ program: any SystemText, _ arguments: [any SystemText], _ options: SubprocessOptions
  ) throws(EventLoopError) {
    let name = try ChildRequest.bytes(of: program, "the program's name")
    var own: [any SystemText] = [name]
    for argument in arguments { own.append(try ChildRequest.bytes(of: argument, "an argument of \(name.printable())")) }
    let file = try options.executable.map { executable throws(EventLoopError) in
      try ChildRequest.bytes(of: executable, "the executable's name")
    }
    let paths = ChildRequest.candidates(for: file ?? name, in: options.environment)
    self.init(program: (file ?? name).printable(), paths: paths, arguments: own)
    environment = try (options.environment ?? .replacingOurs)?.entries()
    directory = try options.workingDirectory.map { folder throws(EventLoopError) in
      try ChildRequest.bytes(of: folder, "the working directory")
    }
    for (number, source) in options.descriptors.sorted(by: { $0.key < $1.key }) {
      guard number > 2 else {
        throw EventLoopError(.invalidArgument, "descriptor \(number) of a child is a standard stream, or none at all")
      }
      descriptors.append((number, source))
    }
    try pass(options)
    startsSession = options.startNewSession
    if let group = options.processGroup, group < 0 {
      throw EventLoopError(.invalidArgument, "a child's process group must not be negative, as \(group) is")
    }
    processGroup = options.processGroup
    user = options.user
    group = options.group
    extraGroups = options.extraGroups
    fileModeMask = options.umask.map { UInt32($0.rawValue) }
  }

  private static func bytes(of text: any SystemText, _ what: String) throws(EventLoopError) -> [UInt8] {
    let bytes = text.systemBytes
    if bytes.contains(0) { throw EventLoopError(.invalidArgument, "\(what) contains a zero byte") }
    return bytes
  }

  /// Where a program may be: itself if its name is a path, else in every folder of the child's `PATH`.
  private static func candidates(for program: [UInt8], in environment: ChildEnvironment?) -> [[UInt8]] {
    let slash = UInt8(ascii: "/")
    if program.isEmpty || program.contains(slash) { return [program] }
    let path = environment.map { $0[bytes: Array("PATH".utf8)] } ?? Environment.bytes("PATH")
    return (path ?? Array("/bin:/usr/bin".utf8)).split(separator: UInt8(ascii: ":"), omittingEmptySubsequences: false)
      .map { folder in
        // No name means the working directory.
        (folder.isEmpty ? [UInt8(ascii: ".")] : Array(folder)) + [slash] + program
      }
  }
}
