// SPDX-License-Identifier: Apache-2.0
import SystemPackage
import Testing

@testable import AsyncIO

/// Texts of strangers in errors and logs.
@Suite struct PrintableTextTests {
  @Test("What moves a cursor, begins a line or turns the direction round is escaped; letters stay as they are")
  func escapes() {
    #expect("plain, ünïcode 日本 \u{1F600} \\ %".printable() == "plain, ünïcode 日本 \u{1F600} \\ %")
    #expect("a\nb\r\u{1b}[2J\0\u{7f}".printable() == "a\\u{a}b\\u{d}\\u{1b}[2J\\u{0}\\u{7f}")
    #expect("\u{9b}31m\u{85}\u{2028}\u{202e}\u{200b}".printable() == "\\u{9b}31m\\u{85}\\u{2028}\\u{202e}\\u{200b}")
    #expect("abcdef".printable(limit: 6) == "abcdef" && "abcdefg".printable(limit: 6) == "abcdef…")
  }

  @Test("Addresses, and errors with what they were about, stay on one line")
  func descriptions() throws {
    let path = try #require(SocketAddress(unixPath: "/tmp/\u{1b}[31m\nfake: line"))
    #expect("\(path)" == "/tmp/\\x1B[31m\\x0Afake: line" && path.unixPath == "/tmp/\u{1b}[31m\nfake: line")
    let abstract = try #require(SocketAddress(unixPath: "\0a\nb"))
    #expect("\(abstract)" == "@a\\x0Ab")
    #expect("\(IOError(.badFileDescriptor, "recv", "a\nb"))".hasPrefix("recv a\\u{a}b: "))
    #expect("\(ResolutionError(code: -2, message: "m", subject: "a\rb"))" == "getaddrinfo a\\u{d}b: m (-2)")
    #expect("\(TLSError(.broken, "r", subject: "a\u{7}b"))" == "TLS with a\\u{7}b: r")
  }
}
