// SPDX-License-Identifier: Apache-2.0
import Testing

/// A program that must not compile, and its twin that must: the one shows that the compiler rejects a misuse, the other
/// that it is this misuse that it rejects.
struct SnippetProgram: Sendable, CustomTestStringConvertible {
  /// Where the code stands.
  enum Place: Sendable {
    /// In an async function with one object of each kind as parameters.
    case function
    case file
  }

  /// What the compiler says, as regular expressions.
  enum Complaint {
    static let sending = "risks causing data races"
    static let sendableCapture = "capture of '.*' with non-Sendable type '.*' in a '@Sendable' closure"
    static let sendableResult = "does not conform to the 'Sendable' protocol"
    static let escape = "escapes its scope|cannot return a ~Escapable result|'Escapable'"
    static let mainActor = "main actor-isolated .* from a (nonisolated context|Sendable closure)"
    static let arguments = "extra argument|missing argument|extra trailing closure|cannot convert value"
  }

  var testDescription: String
  var place: Place
  var rejected: String
  var accepted: String
  var complaint: String
  /// The complaint under `-default-isolation MainActor`; nil where the program is right there, since it stays on the
  /// main actor, or where that default changes nothing.
  var mainActorComplaint: String?
  /// Whether the twin is right under `-default-isolation MainActor`.
  var isAcceptedOnMainActor = true

  init(
    _ name: String, in place: Place = .function, rejected: String, accepted: String, _ complaint: String,
    onMainActor mainActorComplaint: String? = "", isAcceptedOnMainActor: Bool = true
  ) {
    testDescription = name
    self.place = place
    self.rejected = rejected
    self.accepted = accepted
    self.complaint = complaint
    self.mainActorComplaint = mainActorComplaint == "" ? complaint : mainActorComplaint
    self.isAcceptedOnMainActor = isAcceptedOnMainActor
  }

  static let declarations = """
    import AsyncIO
    import Dispatch
    import Foundation
    import Synchronization

    final class Echo: StreamProtocol {
      var count = 0
      func dataReceived(_ data: Span<UInt8>) { count += data.count }
    }
    final class Counter { var value = 0 }
    /// Nobody's, whatever the default is.
    nonisolated final class Shared {
      var content: AnyObject?
      func hit() { content = nil }
    }
    nonisolated protocol Leaver { @concurrent func leave(_ x: Shared) async }
    nonisolated struct Away: Leaver { @concurrent func leave(_ x: Shared) async { x.hit() } }
    @concurrent nonisolated func leave(_ x: Shared) async { x.hit() }
    nonisolated(nonsending) func stay(_ x: Shared) async { x.hit() }
    func visit(_ keeper: isolated Keeper, _ x: Shared) { x.hit() }
    actor Keeper {
      func keep<T>(_ value: T) {}
    }

    """

  /// The code in its place.
  static func place(_ code: String, _ place: Place) -> String {
    switch place {
    case .file: code
    case .function:
      """
      func program(
        _ loop: EventLoop, _ transport: StreamTransport, _ reader: StreamReader, _ writer: StreamWriter,
        _ server: Server, _ future: Future<Int>, _ handle: Handle, _ timer: TimerHandle, _ socket: Socket,
        _ datagrams: DatagramTransport, _ input: ReadPipeTransport, _ output: WritePipeTransport,
        _ terminal: TerminalTransport, _ subprocess: SubprocessTransport, _ child: ChildProcess,
        _ echo: Echo, _ context: ExceptionContext, _ counter: Counter, _ keeper: Keeper, _ remote: RemoteLoop,
        _ lock: Lock, _ queue: Queue<Int>
      ) async throws {
      \(code)
      }
      """
    }
  }

  /// Several programs in one file, each in a name space of its own. The compiler's messages name the programs by their
  /// numbers, as `program-0:1:2`.
  static func file(_ programs: [(code: String, place: Place)]) -> String {
    var source = declarations
    for (number, program) in programs.enumerated() {
      source += """
        enum Program\(number) {
        #sourceLocation(file: "program-\(number)", line: 1)
        \(place(program.code, program.place))
        #sourceLocation()
        }

        """
    }
    return source
  }

  /// Those programs that the compiler rejects, with its errors.
  static func rejections(
    of programs: [SnippetProgram], _ isolation: SnippetCompiler.DefaultIsolation
  ) async throws -> [String: [String]] {
    let compiler = try SnippetCompiler.shared.get()
    var left = programs
    var rejections: [String: [String]] = [:]
    // The compiler looks for data races only in a file whose types are right: what has errors is taken out, and the
    // rest compiled again, until that has none.
    while !left.isEmpty {
      let errors = try await compiler.errors(in: file(left.map { ($0.rejected, $0.place) }), isolation)
      if errors.isEmpty { break }
      var rejected: Set<Int> = []
      for error in errors {
        guard let match = error.firstMatch(of: /^program-(\d+):/), let number = Int(match.output.1) else {
          throw SnippetCompiler.Failure(description: "an error in no program: \(error)")
        }
        rejections[left[number].testDescription, default: []].append(error)
        rejected.insert(number)
      }
      left = left.indices.filter { !rejected.contains($0) }.map { left[$0] }
    }
    return rejections
  }
}
