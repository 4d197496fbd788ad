// SPDX-License-Identifier: Apache-2.0
public import AsyncIO

/// What two ends of a connection have said to each other, and when: to be recorded once, kept as text, and replayed.
///
/// As text it has a line for each step: `> ` and what the client sent, `< ` and what the server sent, both as a quoted string;
/// `~ ` and how long nothing was said, in microseconds. Empty lines, and such as begin with `#`, are left out.
public struct Transcript: Hashable, Sendable, CustomStringConvertible {
  /// One of the two ends.
  public enum End: Hashable, Sendable {
    /// The end that has connected.
    case client
    /// The end that was connected to.
    case server
  }

  /// One step.
  public enum Step: Hashable, Sendable {
    /// One end has sent bytes.
    case bytes([UInt8], from: End)
    /// Nothing was said for so long.
    case silence(Duration)
  }

  /// What happened, in order.
  public var steps: [Step]

  /// A transcript of so many steps.
  public init(_ steps: [Step] = []) { self.steps = steps }

  /// Reads a transcript's text.
  ///
  /// - Throws: ``SimulationError`` for a line that is none of a transcript.
  public init(parsing text: String) throws {
    steps = []
    for (number, line) in text.split(separator: "\n", omittingEmptySubsequences: false).enumerated() {
      if line.isEmpty || line.hasPrefix("#") { continue }
      guard let step = Step(line: line) else {
        throw SimulationError(.failure, "line \(number + 1) is none of a transcript: \(String(line).printable())")
      }
      steps.append(step)
    }
  }

  /// The text.
  public var description: String { steps.map { "\($0)\n" }.joined() }

  /// Adds bytes, to those of the same end that stand last if nothing came between.
  mutating func add(_ bytes: [UInt8], from end: End, after silence: Duration) {
    if silence > .zero { steps.append(.silence(silence)) }
    if case .bytes(let last, end) = steps.last {
      steps[steps.count - 1] = .bytes(last + bytes, from: end)
    } else {
      steps.append(.bytes(bytes, from: end))
    }
  }
}

extension Transcript.Step: CustomStringConvertible {
  /// The line of a transcript.
  public var description: String {
    switch self {
    case .bytes(let bytes, .client): "> \(bytes.quoted)"
    case .bytes(let bytes, .server): "< \(bytes.quoted)"
    case .silence(let duration): "~ \(duration.wholeNanoseconds / 1000)"
    }
  }

  init?(line: Substring) {
    let rest = line.dropFirst(2)
    switch line.prefix(2) {
    case "> ":
      guard let bytes = [UInt8](quoted: rest) else { return nil }
      self = .bytes(bytes, from: .client)
    case "< ":
      guard let bytes = [UInt8](quoted: rest) else { return nil }
      self = .bytes(bytes, from: .server)
    case "~ ":
      guard let microseconds = Int64(rest), microseconds >= 0 else { return nil }
      self = .silence(.microseconds(microseconds))
    default: return nil
    }
  }
}

extension [UInt8] {
  /// In quotes, with everything but plain ASCII escaped.
  fileprivate var quoted: String {
    var text = "\""
    for byte in self {
      switch byte {
      case UInt8(ascii: "\n"): text += "\\n"
      case UInt8(ascii: "\r"): text += "\\r"
      case UInt8(ascii: "\""), UInt8(ascii: "\\"): text += "\\" + String(UnicodeScalar(byte))
      case 0x20...0x7e: text += String(UnicodeScalar(byte))
      default:
        let digits = String(byte, radix: 16)
        text += "\\x" + (digits.count == 1 ? "0" : "") + digits
      }
    }
    return text + "\""
  }

  /// Reads what ``quoted`` has written; nil for anything else.
  fileprivate init?(quoted text: Substring) {
    guard text.count >= 2, text.first == "\"", text.last == "\"" else { return nil }
    var rest = text.utf8.dropFirst().dropLast()
    self = []
    while let byte = rest.popFirst() {
      guard byte == UInt8(ascii: "\\") else {
        append(byte)
        continue
      }
      switch rest.popFirst() {
      case UInt8(ascii: "n"): append(UInt8(ascii: "\n"))
      case UInt8(ascii: "r"): append(UInt8(ascii: "\r"))
      case UInt8(ascii: "\""): append(UInt8(ascii: "\""))
      case UInt8(ascii: "\\"): append(UInt8(ascii: "\\"))
      case UInt8(ascii: "x"):
        guard rest.count >= 2, let byte = UInt8(String(decoding: rest.prefix(2), as: UTF8.self), radix: 16) else {
          return nil
        }
        append(byte)
        rest = rest.dropFirst(2)
      default: return nil
      }
    }
  }
}

extension Peer {
  /// Takes one end's part in a transcript: sends what that has sent, at the same pace, and expects what the other has.
  ///
  /// - Throws: ``PeerError`` as soon as the other end says something else; `IOError`; `CancellationError`.
  public func play(_ end: Transcript.End, of transcript: Transcript, on loop: EventLoop) async throws {
    var silence = Duration.zero
    for step in transcript.steps {
      switch step {
      case .silence(let duration): silence += duration
      case .bytes(let bytes, end):
        // Only who speaks next keeps the silence: the other one waits for that.
        if silence > .zero { try await loop.sleep(for: silence) }
        silence = .zero
        try await send(bytes)
      case .bytes(let bytes, from: _):
        silence = .zero
        try await expect(bytes)
      }
    }
  }
}
