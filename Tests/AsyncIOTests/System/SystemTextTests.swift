// SPDX-License-Identifier: Apache-2.0
import SystemPackage
import Testing

@testable import AsyncIO

@Suite struct SystemTextTests {
  @Test("strings give their UTF-8, paths and bytes what they hold")
  func bytes() {
    #expect("ü".systemBytes == [0xC3, 0xBC])
    #expect("aü".dropFirst().systemBytes == [0xC3, 0xBC])
    #expect(FilePath("/tmp/ü").systemBytes == Array("/tmp/ü".utf8))
    #expect(FilePath(systemBytes: [0x2F, 0xFF, 0xFE]).systemBytes == [0x2F, 0xFF, 0xFE])
    #expect(FilePath("").systemBytes == [])
    #expect([UInt8]([0, 0xFF]).systemBytes == [0, 0xFF])
    let mixed: [any SystemText] = ["a", FilePath("b"), [0xFF] as [UInt8]]
    #expect(mixed.map(\.systemBytes) == [[0x61], [0x62], [0xFF]])
  }

  @Test(
    "in messages, what is no UTF-8 or does not show is escaped, and the rest stays",
    arguments: [
      (Array("/tmp/ü €🚀".utf8), "/tmp/ü €🚀"),
      ([], ""),
      ([0xFF], "\\xFF"),
      ([0x61, 0xC3, 0x62], "a\\xC3b"),
      ([0xE2, 0x82], "\\xE2\\x82"),
      ([0xF0, 0x9F, 0x61], "\\xF0\\x9Fa"),
      ([0xC0, 0x80], "\\xC0\\x80"),
      ([0xED, 0xA0, 0x80], "\\xED\\xA0\\x80"),
      ([0, 9, 10, 0x1B, 0x7F], "\\x00\\x09\\x0A\\x1B\\x7F"),
      (Array("a\u{202E}b\u{2028}".utf8), "a\\xE2\\x80\\xAEb\\xE2\\x80\\xA8"),
    ] as [([UInt8], String)])
  func readable(bytes: [UInt8], shown: String) { #expect(bytes.printable() == shown) }
}
