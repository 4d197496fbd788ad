// SPDX-License-Identifier: Apache-2.0
public import SystemPackage

/// A text as the system takes it: bytes, which need not be UTF-8. What Python takes as `str`, `bytes` or a path.
///
/// Names of files and sockets, a program's arguments and its environment are bytes to the system. A `String` gives them
/// its UTF-8; a `FilePath` or a `[UInt8]` keeps those that are none. They may be mixed, as in
/// `["--output", path, Array(name.utf8)]`.
public protocol SystemText: Sendable {
  /// The bytes, without a closing zero.
  var systemBytes: [UInt8] { get }
}

extension String: SystemText {
  /// The text's UTF-8.
  public var systemBytes: [UInt8] { Array(utf8) }
}

extension Substring: SystemText {
  /// The text's UTF-8.
  public var systemBytes: [UInt8] { Array(utf8) }
}

extension FilePath: SystemText {
  /// The path's bytes.
  public var systemBytes: [UInt8] {
    // The path lends that many bytes and a zero.
    unsafe withPlatformString { unsafe Array(UnsafeRawBufferPointer(start: $0, count: length)) }
  }

  /// The path of these bytes, which end at the first zero.
  init(systemBytes: some Sequence<UInt8>) {
    // The array ends with the zero up to which the path reads.
    unsafe self.init(platformString: systemBytes.map { CInterop.PlatformChar(bitPattern: $0) } + [0])
  }
}

extension [UInt8]: SystemText {
  /// The bytes themselves.
  public var systemBytes: [UInt8] { self }
}

extension SystemText {
  /// The text as it may stand in an error or a log, whoever has written it: on one line, without anything that moves a
  /// terminal's cursor or turns the direction of writing round, and not longer than the limit in characters. What is no
  /// UTF-8, or would not be seen, stands there as `\xFF`.
  package func printable(limit: Int = 4096) -> String {
    let bytes = systemBytes
    var text = ""
    var parser = Unicode.UTF8.ForwardParser()
    var source = bytes.makeIterator()
    var position = 0
    for _ in 0..<limit {
      let count: Int
      var scalar: Unicode.Scalar?
      switch parser.parseScalar(from: &source) {
      case .emptyInput: return text
      case .error(let length): count = length
      case .valid(let encoded):
        count = encoded.count
        scalar = Unicode.UTF8.decode(encoded)
      }
      if let scalar, scalar.isSeen {
        text.unicodeScalars.append(scalar)
      } else {
        for byte in bytes[position..<position + count] { text += byte.escaped }
      }
      position += count
    }
    return position < bytes.count ? text + "…" : text
  }
}

extension Unicode.Scalar {
  /// Whether it shows, and does not change how the text around it does.
  fileprivate var isSeen: Bool {
    switch properties.generalCategory {
    case .control, .format, .lineSeparator, .paragraphSeparator, .privateUse, .surrogate, .unassigned: false
    default: true
    }
  }
}

extension UInt8 {
  fileprivate var escaped: String {
    let digits = String(self, radix: 16, uppercase: true)
    return "\\x" + (digits.count < 2 ? "0" + digits : digits)
  }
}
