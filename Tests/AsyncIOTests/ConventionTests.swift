// SPDX-License-Identifier: Apache-2.0
import Foundation
import Testing

/// The rules of the house that a text search can check. CONTRIBUTING.md gives their reasons.
@Suite struct ConventionTests {
  @Test("Files stay under 400 lines")
  func fileLength() throws {
    for file in try SourceFile.all(in: "Sources", "Tests", "Examples") where file.lines.count >= 400 {
      Issue.record("\(file.path) has \(file.lines.count) lines")
    }
  }

  @Test("Files begin with the licence")
  func licence() throws {
    let header = "SPDX-License-Identifier: Apache-2.0"
    for file in try SourceFile.all(in: "Sources", "Tests", "Examples", "Benchmarks", "Package.swift") {
      // In a manifest the tools version comes first.
      let line = file.path.hasSuffix("Package.swift") ? file.lines.dropFirst().first : file.lines.first
      if line != "// " + header { Issue.record("\(file.path) does not begin with \"// \(header)\"") }
    }
  }

  @Test("The operating system and unsafe code are in System, and what Swift's runtime asks for in Concurrency")
  func oneDoorToTheSystem() throws {
    let banned = try Regex(#"\bunsafe\b|\bimport CAsyncIO\b|@unchecked\b"#)
    let outside = try SourceFile.all(in: "Sources/AsyncIO").filter {
      !$0.path.contains("/System/") && !$0.path.contains("/Concurrency/")
    }
    try findNone(of: banned, in: outside)
  }

  @Test("What is of one platform stands in files of that platform's own")
  func platform() throws {
    let banned = try Regex(#"\bimport (Glibc|Musl|Darwin)\b|^\s*#(if|elseif)\b|Linux|[eE]poll"#)
    let (own, others) = try SourceFile.all(in: "Sources/AsyncIO", "Sources/AsyncIOProcessPool").partitioned {
      $0.path.contains("/System/Linux/")
    }
    try findNone(of: banned, in: others)
    for file in others where file.lines.contains(where: { $0.contains("\"/proc/") || $0.contains("\"/sys/") }) {
      Issue.record("\(file.path) names a file of the system's")
    }
    for file in own where file.lines.dropFirst().first != "#if os(Linux)" || !file.lines.suffix(2).contains("#endif") {
      Issue.record("\(file.path) is not whole in #if os(Linux)")
    }
  }

  @Test("The files that a second platform has to have are those that CONTRIBUTING names")
  func listOfThePlatform() throws {
    let text = try String(contentsOf: SourceFile.root.appending(path: "CONTRIBUTING.md"), encoding: .utf8)
    let section = try #require(text.firstMatch(of: /\n### A second platform\n((.|\n)*?)\n##/)?.output.1)
    let list = try #require(section.firstMatch(of: /\n- `Sources(.|\n)*?\n\n/)?.output.0)
    let named = list.matches(of: /`([\w+.]+)`/).map { String($0.output.1) }
    let files = try SourceFile.all(in: "Sources").filter { file in
      file.lines.contains { $0.contains("os(Linux)") || $0.contains("__linux__") }
    }
    let names = files.map { file in
      let name = file.path.split(separator: "/").last.map(String.init) ?? ""
      return name.hasSuffix(".swift") ? String(name.dropLast(6)) : name
    }
    #expect(Set(named) == Set(names))
  }

  @Test("An extension of EventLoop stands in a file that is named after it")
  func filesOfTheLoop() throws {
    let pattern = try Regex(#"^\s*(@\w+ )*(\w+ )*(extension|class) EventLoop\b"#)
    let files = try SourceFile.all(in: "Sources/AsyncIO").filter { file in
      !(file.path.split(separator: "/").last ?? "").hasPrefix("EventLoop")
    }
    try findNone(of: pattern, in: files)
  }

  @Test("The library imports no Foundation")
  func noFoundation() throws {
    try findNone(
      of: try Regex(#"\bimport (struct |class |func )?Foundation"#), in: SourceFile.all(in: "Sources/AsyncIO"))
  }

  @Test("A mistake of the program ends it with a sentence, which the standard library's checks drop when optimised")
  func sentencesOfTraps() throws {
    try findNone(
      of: try Regex(#"\b(precondition(Failure)?|assert(ionFailure)?|fatalError)\("#),
      in: SourceFile.all(in: "Sources").filter { $0.path.hasSuffix(".swift") && !$0.path.hasSuffix("/Misuse.swift") })
  }

  @Test("One file uses what the standard library does not promise")
  func standardLibrarySPI() throws {
    let files = try SourceFile.all(in: "Sources").filter { !$0.path.hasSuffix("AsyncIO/Loop/LoopAdoption.swift") }
    try findNone(of: try Regex(#"@_spi\(.*\bimport\b"#), in: files)
  }

  @Test("A folder names the types of those above it in the list of rooms, and of none below")
  func orderOfFolders() throws {
    let rooms = [
      "Concurrency", "System", "Loop", "Threads", "Tasks", "Coordination", "TLS", "Transports", "Network", "Streams",
      "Processes",
    ]
    // What stands beside the rooms is everybody's.
    let everybodys = try SourceFile.all(in: "Sources/AsyncIO").filter { $0.path.split(separator: "/").count == 3 }
    let files = try [everybodys] + rooms.map { try SourceFile.all(in: "Sources/AsyncIO/\($0)") }
    let folders = try FileManager.default.contentsOfDirectory(
      atPath: SourceFile.root.appending(path: "Sources/AsyncIO").path)
    #expect(Set(folders.filter { !$0.contains(".") }) == Set(rooms), "a room that is not in the list")
    for (index, room) in files.enumerated() {
      #expect(!room.isEmpty)
      let below = files[(index + 1)...].joined()
      let home = Dictionary(
        below.flatMap { file in file.topLevelTypes.map { ($0, file.path) } }, uniquingKeysWith: { first, _ in first })
      for file in room {
        // A nested type may have the name of one that stands elsewhere.
        let own = Set(file.nestedTypes)
        for (number, line) in file.code.enumerated() {
          for name in line.matches(of: #/\b[A-Z]\w+/#).map({ String($0.output) }) where !own.contains(name) {
            guard let elsewhere = home[name] else { continue }
            Issue.record("\(file.path):\(number + 1) names \(name), which stands in \(elsewhere)")
          }
        }
      }
    }
  }

  @Test("The queues of a loop, and what they are made of, know nothing of the loop above them")
  func loopCore() throws {
    let names = [
      "LoopCore", "Mailbox", "ReadyQueue", "TimerQueue", "Wakeable", "ScheduledCall", "Handle", "CallSite", "LoopClock",
      "JobExecutor",
      "JobDoor", "LoopExecutors", "LoopAdoption",
    ]
    for name in names {
      let file = try #require(try SourceFile.all(in: "Sources/AsyncIO/Loop/\(name).swift").first)
      #expect(!file.code.contains { $0.contains(#/\bEventLoop\b/#) }, "\(file.path)")
    }
  }

  @Test("A call that makes a descriptor makes it close-on-exec, since another thread may start a program at any time")
  func closeOnExec() throws {
    let names = "open|openat|pipe2?|dup3?|accept4?|epoll_create1?|eventfd|timerfd_create|signalfd|inotify_init1?"
    let more = "memfd_create|posix_openpt|socket|socketpair|fopen|opendir|mkostemp|mkstemp"
    let makers = try Regex("(^|[^.\\w])(Glibc\\.)?(\(names)|\(more))\\(")
    for file in try SourceFile.all(in: "Sources/AsyncIO/System", "Sources/CAsyncIO") {
      for (number, line) in file.code.enumerated() where line.contains(makers) && !line.contains("func ") {
        let isMarked = ["CLOEXEC", "withCreationFlags"].contains { line.contains($0) }
        if !isMarked { Issue.record("\(file.path):\(number + 1): \(line)") }
      }
    }
  }

  @Test("No marker of unfinished work is left")
  func noMarkers() throws {
    // Put together here, so that this file has none.
    let markers = ["TO" + "DO", "FIX" + "ME", "X" + "XX", "HA" + "CK"].joined(separator: "|")
    let pattern = try Regex(#"\b("# + markers + #")\b"#)
    for file in try SourceFile.all(in: "Sources", "Tests", "Examples", "Benchmarks", "Package.swift") {
      for (number, line) in file.lines.enumerated() where line.contains(pattern) {
        Issue.record("\(file.path):\(number + 1): \(line)")
      }
    }
  }

  @Test("File names are unique in the library")
  func uniqueNames() throws {
    let names = try SourceFile.all(in: "Sources/AsyncIO").map { $0.path.split(separator: "/").last ?? "" }
    for name in Set(names) where names.count(where: { $0 == name }) > 1 { Issue.record("there are several \(name)") }
  }

  @Test("Every public declaration is documented")
  func documentation() throws {
    let files = try SourceFile.all(in: "Sources/AsyncIO", "Sources/AsyncIOTesting").filter {
      $0.path.hasSuffix(".swift")
    }
    let inherited = Set(files.flatMap(\.documentedRequirements))
    let publicCount = files.reduce(0) { $0 + $1.publicDeclarations.count }
    #expect(publicCount > 100, "the search finds hardly any public declaration")
    for file in files {
      for declaration in file.publicDeclarations where !declaration.isDocumented {
        // What fulfils a protocol's requirement has that one's documentation.
        if inherited.contains(declaration.name) { continue }
        Issue.record("\(file.path):\(declaration.line): no documentation: \(declaration.text)")
      }
    }
  }

  @Test(
    "The search for public declarations sees what it should",
    arguments: [
      ("public func a() {}", ["func a"]),
      ("/// Text.\npublic func a() {}", []),
      ("/// Text.\n@discardableResult\npublic func a() {}", []),
      ("/// Text.\npublic enum E {\n  case a\n}", ["case a"]),
      ("/// Text.\npublic protocol P {\n  func a()\n}", ["func a"]),
      ("/// Text.\npublic struct S {\n  var a = 1\n  public static let b = 1\n}", ["let b"]),
      ("public import Module\nextension S {\n  public var a: Int { 1 }\n}", ["var a"]),
      ("enum E {\n  case a\n}", []),
    ])
  func documentationSearch(source: String, undocumented: [String]) {
    let file = SourceFile(path: "", text: source)
    #expect(file.publicDeclarations.filter { !$0.isDocumented }.map(\.name) == undocumented)
  }

  private func findNone(of pattern: Regex<AnyRegexOutput>, in files: [SourceFile]) throws {
    try #require(!files.isEmpty)
    for file in files {
      for (number, line) in file.code.enumerated() where line.contains(pattern) {
        Issue.record("\(file.path):\(number + 1): \(line)")
      }
    }
  }
}

extension Array {
  /// The elements for which the condition holds, and the others.
  fileprivate func partitioned(by condition: (Element) -> Bool) -> ([Element], [Element]) {
    (filter(condition), filter { !condition($0) })
  }
}

/// A file of the repository, in lines.
private struct SourceFile {
  /// Relative to the repository.
  let path: String
  let lines: [String]

  init(path: String, text: String) {
    self.path = path
    lines = text.split(separator: "\n", omittingEmptySubsequences: false).map(String.init)
  }

  static let root = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
    .deletingLastPathComponent()

  /// The Swift and C files in folders of the repository, or the files named.
  static func all(in places: String...) throws -> [SourceFile] {
    try places.flatMap { place in
      let start = root.appending(path: place)
      let names = try start.resourceValues(forKeys: [.isDirectoryKey]).isDirectory == true ? walk(start) : [""]
      return try names.map { name in
        let path = name.isEmpty ? place : "\(place)/\(name)"
        return SourceFile(path: path, text: try String(contentsOf: root.appending(path: path), encoding: .utf8))
      }
    }
  }

  /// Without what a build leaves behind.
  private static func walk(_ folder: URL) throws -> [String] {
    try FileManager.default.contentsOfDirectory(atPath: folder.path).sorted().flatMap { name -> [String] in
      if name.hasPrefix(".") || name == "target" { return [] }
      let url = folder.appending(path: name)
      if try url.resourceValues(forKeys: [.isDirectoryKey]).isDirectory == true {
        return try walk(url).map { "\(name)/\($0)" }
      }
      return ["swift", "c", "h"].contains(url.pathExtension) ? [name] : []
    }
  }

  /// The lines without comments and the contents of strings.
  var code: [String] {
    lines.map { line in
      line.replacing(#/"(\\.|[^"\\])*"/#, with: "\"\"").replacing(#/\/\/.*/#, with: "")
    }
  }

  /// The types that other files can name.
  var topLevelTypes: [String] {
    types.filter { $0.indentation == 0 && !$0.text.contains("private ") }.map(\.name)
  }

  var nestedTypes: [String] { types.filter { $0.indentation > 0 }.map(\.name) }

  private var types: [(name: String, indentation: Int, text: String)] {
    code.compactMap { line in
      let pattern = #/^( *)(@\w+(\(.*\))? )*(\w+ )*?(struct|class|enum|protocol|actor|typealias) (\w+)/#
      return line.prefixMatch(of: pattern).map { (String($0.6), $0.1.count, line) }
    }
  }

  struct Declaration {
    let line: Int
    let text: String
    /// Keyword and name, such as `func close`.
    let name: String
    let isDocumented: Bool
    let isRequirement: Bool
  }

  var publicDeclarations: [Declaration] { declarations.filter { $0.isPublic }.map(\.declaration) }

  /// The names that a public protocol of this file asks for.
  var documentedRequirements: [String] {
    declarations.map(\.declaration).filter { $0.isRequirement && $0.isDocumented }.map(\.name)
  }

  private var declarations: [(declaration: Declaration, isPublic: Bool)] {
    let pattern =
      #/^(?<modifiers>((public|open|package|internal|fileprivate|private|static|final|override|mutating|convenience|weak|unowned|nonisolated|indirect)(\((set|unsafe)\))? )*)(?<keyword>func|var|let|init|subscript|case|struct|class|enum|protocol|actor|typealias|extension)\b[ ]?(?<name>`?[\w.]*`?)/#
    var found: [(Declaration, Bool)] = []
    /// The public protocol or enum whose body this is, by its indentation: its members need no `public`.
    var body: (indentation: Int, keyword: Substring)?
    for (index, line) in lines.enumerated() {
      let indentation = line.prefix { $0 == " " }.count
      let text = line.dropFirst(indentation)
      if let open = body, indentation <= open.indentation, text.hasPrefix("}") { body = nil }
      guard let match = text.prefixMatch(of: pattern) else { continue }
      let keyword = match.keyword
      let isMember = body.map { indentation == $0.indentation + 2 } ?? false
      let isRequirement = isMember && body?.keyword == "protocol"
      let isPublic =
        match.modifiers.contains("public ") || match.modifiers.contains("open ") || isRequirement
        || isMember && keyword == "case"
      if isPublic, body == nil, keyword == "protocol" || keyword == "enum", text.hasSuffix("{") {
        body = (indentation, keyword)
      }
      let declaration = Declaration(
        line: index + 1, text: String(text), name: "\(keyword) \(match.name)", isDocumented: isDocumented(index),
        isRequirement: isRequirement)
      found.append((declaration, isPublic))
    }
    return found
  }

  /// Whether a documentation comment stands above the line, or above its attributes.
  private func isDocumented(_ index: Int) -> Bool {
    var above = index - 1
    while above >= 0, lines[above].drop(while: { $0 == " " }).hasPrefix("@") { above -= 1 }
    return above >= 0 && lines[above].drop(while: { $0 == " " }).hasPrefix("///")
  }
}
