// SPDX-License-Identifier: Apache-2.0
import SystemPackage
import Testing

@testable import AsyncIO

/// Texts of strangers in errors and logs.
@Suite struct PrintableTextTests {
  @Test("What moves a cursor, begins a line or turns the direction round is escaped; letters stay as they are")
  func escapes() {
    #expect("plain, ünïcode 日本 \u{1F600} \\ %".printable() == "plain, ünïcode 日本 \u{1F600} \\ %")
    #expect("a\nb\r\u{1b}[2J\0\u{7f}".printable() == "a\\x0Ab\\x0D\\x1B[2J\\x00\\x7F")
    #expect("\u{9b}31m\u{85}\u{2028}".printable() == "\\xC2\\x9B31m\\xC2\\x85\\xE2\\x80\\xA8")
    #expect("\u{202e}\u{200b}\u{e000}".printable() == "\\xE2\\x80\\xAE\\xE2\\x80\\x8B\\xEE\\x80\\x80")
    #expect("abcdef".printable(limit: 6) == "abcdef" && "abcdefg".printable(limit: 6) == "abcdef…")
  }

  @Test("Addresses, and errors with what they were about, stay on one line")
  func descriptions() throws {
    let path = try #require(SocketAddress(unixPath: "/tmp/\u{1b}[31m\nfake: line"))
    #expect("\(path)" == "/tmp/\\x1B[31m\\x0Afake: line" && path.unixPath == "/tmp/\u{1b}[31m\nfake: line")
    let abstract = try #require(SocketAddress(unixPath: "\0a\nb"))
    #expect("\(abstract)" == "@a\\x0Ab")
    #expect("\(IOError(.badFileDescriptor, "recv", "a\nb"))".hasPrefix("recv a\\x0Ab: "))
    #expect("\(ResolutionError(code: -2, message: "m", subject: "a\rb"))" == "getaddrinfo a\\x0Db: m (-2)")
    #expect("\(TLSError(.broken, "r", subject: "a\u{7}b"))" == "TLS with a\\x07b: r")
  }
}
