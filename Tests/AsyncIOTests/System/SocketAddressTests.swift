// SPDX-License-Identifier: Apache-2.0
import Glibc
import SystemPackage
import Testing

@testable import AsyncIO

@Suite struct SocketAddressTests {
  @Test(
    "text to address and back",
    arguments: [
      ("127.0.0.1", "127.0.0.1:80"), ("0.0.0.0", "0.0.0.0:80"), ("255.255.255.255", "255.255.255.255:80"),
      ("::1", "[::1]:80"), ("::", "[::]:80"), ("2001:db8:0:0:0:0:0:1", "[2001:db8::1]:80"),
      ("::ffff:1.2.3.4", "[::ffff:1.2.3.4]:80"), ("fe80::1%7", "[fe80::1%7]:80"),
    ])
  func parses(_ text: String, _ description: String) throws {
    let address = try #require(SocketAddress(ip: text, port: 80))
    #expect(address.description == description)
    #expect(address.port == 80)
    #expect(address.unixPath == nil)
    let host = try #require(address.host)
    #expect(SocketAddress(ip: host, port: 80) == address)
  }

  @Test(
    "what is no address in numbers",
    arguments: [
      "", " ", "localhost", "127.0.0.1 ", " 127.0.0.1", "127.1", "256.0.0.1", "1.2.3.4.5", "0x7f.0.0.1", "127.0.0.1:80",
      "[::1]", ":::", "1::2::3", "12345::", "127.0.0.1%1", "fe80::1%", "fe80::1%no-such-interface", "fe80::1%1%1",
      "example.org", "\u{FF11}.0.0.1",
    ])
  func rejects(_ text: String) { #expect(SocketAddress(ip: text, port: 1) == nil) }

  @Test("a zero byte ends no address early", arguments: ["127.0.0.1\0.example.org", "::1\0x", "fe80::1%1\0x", "\0"])
  func embeddedZero(_ text: String) { #expect(SocketAddress(ip: text, port: 1) == nil) }

  @Test func scopeByNameOrNumber() throws {
    let loopback = if_nametoindex("lo")
    let byName = try #require(SocketAddress(ip: "fe80::1%lo", port: 0))
    #expect(byName.scopeID == loopback)
    #expect(byName == SocketAddress(ip: "fe80::1%\(loopback)", port: 0))
    #expect(byName != SocketAddress(ip: "fe80::1", port: 0))
    #expect(SocketAddress(ip: "fe80::1%4294967295", port: 0)?.scopeID == .max)
    #expect(SocketAddress(ip: "fe80::1%4294967296", port: 0) == nil)
    #expect(SocketAddress(ip: "fe80::1%+1", port: 0) == nil)
    // Only on a single link is an interface known by its name.
    #expect(SocketAddress(ip: "ff02::1%lo", port: 0)?.scopeID == loopback)
    #expect(SocketAddress(ip: "febf::1%lo", port: 0)?.scopeID == loopback)
    for host in ["2001:db8::1", "::1", "fec0::1", "ff05::1"] {
      #expect(SocketAddress(ip: host + "%lo", port: 0) == nil, "\(host)")
      #expect(SocketAddress(ip: host + "%3", port: 0)?.scopeID == 3, "\(host)")
    }
    #expect(SocketAddress(ip: "127.0.0.1", port: 0)?.scopeID == 0)
  }

  @Test("unix paths fit up to 107 bytes, abstract names up to 108")
  func unixLengths() {
    #expect(SocketAddress(unixPath: String(repeating: "p", count: 106)) != nil)
    #expect(SocketAddress(unixPath: String(repeating: "p", count: 107)) != nil)
    #expect(SocketAddress(unixPath: String(repeating: "p", count: 108)) == nil)
    #expect(SocketAddress(unixPath: String(repeating: "p", count: 109)) == nil)
    #expect(SocketAddress(unixPath: "\0" + String(repeating: "n", count: 106)) != nil)
    #expect(SocketAddress(unixPath: "\0" + String(repeating: "n", count: 107)) != nil)
    #expect(SocketAddress(unixPath: "\0" + String(repeating: "n", count: 108)) == nil)
    // Bytes count, not characters.
    #expect(SocketAddress(unixPath: String(repeating: "\u{E4}", count: 53)) != nil)
    #expect(SocketAddress(unixPath: String(repeating: "\u{E4}", count: 54)) == nil)
  }

  @Test func unixNames() throws {
    #expect(SocketAddress(unixPath: "") == nil)
    #expect(SocketAddress(unixPath: "/tmp/a\0b") == nil)
    let path = try #require(SocketAddress(unixPath: "/tmp/socket"))
    #expect(path.description == "/tmp/socket")
    #expect(path.unixPath == "/tmp/socket")
    #expect(path.family == .unix)
    #expect(path.port == nil && path.host == nil)
    #expect(path.withPort(3) == path)
    let abstract = try #require(SocketAddress(unixPath: "\0name\0rest"))
    #expect(abstract.description == "@name\\x00rest")
    #expect(abstract.unixPath == nil && abstract.unixName == Array("\0name\0rest".utf8))
    let unnamed = SocketAddress(.unix([]))
    #expect(unnamed.description == "unnamed" && unnamed.unixPath == nil && unnamed.unixName == [])
    #expect(SocketAddress(ip: "::1", port: 1)?.unixName == nil)
  }

  @Test("unix names are bytes, which need not be UTF-8, and show so")
  func unixBytes() throws {
    let bytes = Array("/tmp/a".utf8) + [0xFF, 0xC3, 0x0A]
    let fromBytes = try #require(SocketAddress(unixPath: bytes))
    #expect(fromBytes.unixName == bytes && fromBytes.description == "/tmp/a\\xFF\\xC3\\x0A")
    let path = try #require(fromBytes.unixPath)
    #expect(path.systemBytes == bytes)
    #expect(SocketAddress(unixPath: path) == fromBytes)
    let abstract = try #require(SocketAddress(unixPath: [0, 0xFF, 0] as [UInt8]))
    #expect(abstract.unixName == [0, 0xFF, 0] && abstract.description == "@\\xFF\\x00")
    #expect(SocketAddress(unixPath: [] as [UInt8]) == nil)
    #expect(SocketAddress(unixPath: [1, 0] as [UInt8]) == nil)
  }

  @Test func otherPort() {
    let address = SocketAddress(ip: "fe80::1%7", port: 1)
    #expect(address?.withPort(65535) == SocketAddress(ip: "fe80::1%7", port: 65535))
    #expect(SocketAddress(ip: "1.2.3.4", port: 1)?.withPort(9).description == "1.2.3.4:9")
  }

  @Test("an address is the same after a way through the platform's form")
  func platformForm() throws {
    let longName = String(repeating: "n", count: 107)
    let paths: [String] = ["/tmp/s", longName, "\0n", "\0n\0m", "\0" + longName]
    let hosts: [String] = ["127.0.0.1", "1.2.3.4", "::1", "2001:db8::ff00:42:8329", "fe80::1%7"]
    var samples: [SocketAddress] = hosts.compactMap { SocketAddress(ip: $0, port: 4660) }
    for path in paths { samples.append(try #require(SocketAddress(unixPath: path))) }
    samples.append(SocketAddress(.unix([])))
    // Others may bind to one that leaves no room for a closing zero.
    samples.append(SocketAddress(.unix([UInt8](repeating: 112, count: 108))))
    samples.append(SocketAddress(.ipv6(1, 2, 3, scope: 4, flow: 5)))
    #expect(samples.count == 13)
    for address in samples {
      let back = address.withPlatformAddress { SocketAddress(UnsafeRawBufferPointer(start: $0, count: Int($1))) }
      #expect(back == address)
      let family = address.withPlatformAddress { pointer, _ in pointer.pointee.sa_family }
      #expect(Int32(family) == address.family.rawValue)
    }
  }

  @Test("the platform's form has the bytes that the network wants")
  func networkOrder() throws {
    let address = try #require(SocketAddress(ip: "1.2.3.4", port: 0x1234))
    let bytes = address.withPlatformAddress { Array(UnsafeRawBufferPointer(start: $0, count: Int($1))) }
    #expect(bytes.count == 16)
    #expect(bytes[2..<8] == [0x12, 0x34, 1, 2, 3, 4])
    let path = try #require(SocketAddress(unixPath: "/ab"))
    #expect(path.withPlatformAddress { $1 } == 2 + 3 + 1)
    let abstract = try #require(SocketAddress(unixPath: "\0ab"))
    #expect(abstract.withPlatformAddress { $1 } == 2 + 3)
  }

  @Test("bytes that are no address are refused")
  func shortPlatformForm() {
    func parse(_ family: Int32, _ rest: [UInt8]) -> SocketAddress? {
      var bytes: [UInt8] = [UInt8(family), 0]
      bytes += rest
      return bytes.withUnsafeBytes { SocketAddress($0) }
    }
    let zeros = [UInt8](repeating: 0, count: 30)
    let nothing: [UInt8] = []
    #expect(nothing.withUnsafeBytes { SocketAddress($0) } == nil)
    #expect(parse(AF_INET, Array(zeros.prefix(13))) == nil)
    #expect(parse(AF_INET, Array(zeros.prefix(14))) == SocketAddress(ip: "0.0.0.0", port: 0))
    #expect(parse(AF_INET6, Array(zeros.prefix(25))) == nil)
    #expect(parse(AF_INET6, Array(zeros.prefix(26))) == SocketAddress(ip: "::", port: 0))
    #expect(parse(200, zeros) == nil)
    // The kernel may count the closing zero of a path, or not.
    let path = Array("/a".utf8)
    let closed = Array("/a\0left over".utf8)
    #expect(parse(AF_UNIX, path)?.description == "/a")
    #expect(parse(AF_UNIX, closed)?.description == "/a")
    #expect(parse(AF_UNIX, [])?.description == "unnamed")
  }

  @Test("the kernel agrees: what a socket is bound to is what it says")
  func boundAddress() throws {
    let name = "\0asyncio-test-\(UInt64.random(in: 0 ... .max))\0x"
    let socket = try Socket(.unix)
    try socket.bind(to: try #require(SocketAddress(unixPath: name)))
    #expect(socket.localAddress?.unixName == Array(name.utf8))
    let v6 = try Socket(.ipv6)
    try v6.bind(to: try #require(SocketAddress(ip: "::1", port: 0)))
    #expect(v6.localAddress?.host == "::1")
    #expect((v6.localAddress?.port ?? 0) > 0)
    let unbound = try Socket(.unix)
    #expect(unbound.localAddress?.description == "unnamed")
  }
}
