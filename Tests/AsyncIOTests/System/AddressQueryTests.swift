// SPDX-License-Identifier: Apache-2.0
import Glibc
import Synchronization
import SystemPackage
import Testing

@testable import AsyncIO

@Suite struct AddressQueryTests {
  @Test("numbers are answered without the resolver, with the protocol that the kind implies")
  func literals() throws {
    let stream = try #require(AddressQuery(host: "127.0.0.1", service: "80").literalAnswer)
    #expect(stream.family == .ipv4 && stream.kind == .stream && stream.transportProtocol == Int32(IPPROTO_TCP))
    #expect(stream.address.description == "127.0.0.1:80")
    let datagram = try #require(AddressQuery(host: "::1", service: nil, kind: .datagram).literalAnswer)
    #expect(datagram.family == .ipv6 && datagram.transportProtocol == Int32(IPPROTO_UDP))
    #expect(datagram.address.description == "[::1]:0")
    let udp = Int32(IPPROTO_UDP)
    #expect(AddressQuery(host: "::1", service: "1", kind: .datagram, transportProtocol: udp).literalAnswer != nil)
  }

  @Test("everything else asks the resolver")
  func notLiteral() {
    #expect(AddressQuery(host: "localhost", service: "80").literalAnswer == nil)
    #expect(AddressQuery(host: nil, service: "80").literalAnswer == nil)
    #expect(AddressQuery(host: "127.0.0.1", service: "http").literalAnswer == nil)
    #expect(AddressQuery(host: "127.0.0.1", service: "65536").literalAnswer == nil)
    #expect(AddressQuery(host: "127.0.0.1", service: "-1").literalAnswer == nil)
    #expect(AddressQuery(host: "127.0.0.1", service: "1", family: .ipv6).literalAnswer == nil)
    let udp = Int32(IPPROTO_UDP)
    #expect(AddressQuery(host: "127.0.0.1", service: "1", transportProtocol: udp).literalAnswer == nil)
    #expect(AddressQuery(host: "127.0.0.1\0.example.org", service: "80").literalAnswer == nil)
    for host in ["2001:db8::1%lo", "2001:db8::1%3", "::1%1"] {
      #expect(AddressQuery(host: host, service: "80").literalAnswer == nil, "a zone beyond one link")
    }
  }

  @Test("the platform's resolver answers, or its error says what was asked")
  func asks() throws {
    let answers = try AddressQuery(host: "127.0.0.1", service: "80", flags: .numericHost).ask()
    #expect(answers.map(\.address.description) == ["127.0.0.1:80"])
    #expect(answers.first?.transportProtocol == Int32(IPPROTO_TCP))
    let all = try AddressQuery(host: nil, service: "0", family: .ipv4, flags: .passive).ask()
    #expect(all.map(\.address.description) == ["0.0.0.0:0"])
    let error = #expect(throws: ResolutionError.self) {
      try AddressQuery(host: "no number", service: "80", flags: .numericHost).ask()
    }
    #expect(error?.code == EAI_NONAME)
    #expect(error?.subject == "no number:80")
  }

  @Test("a zero byte in a name is refused, not taken for its end")
  func embeddedZero() {
    #expect(throws: ResolutionError.self) {
      try AddressQuery(host: "127.0.0.1\0.example.org", service: "80", flags: .numericHost).ask()
    }
    #expect(throws: ResolutionError.self) { try AddressQuery(host: "127.0.0.1", service: "80\0x").ask() }
  }

  @Test("a scope survives a look-up")
  func scope() throws {
    let literal = try #require(AddressQuery(host: "fe80::1%7", service: "80").literalAnswer)
    #expect(literal.address.scopeID == 7)
    let asked = try AddressQuery(host: "fe80::1%lo", service: "80", flags: .numericHost).ask()
    #expect(asked.first?.address.scopeID == if_nametoindex("lo"))
  }
}

@Suite struct LookUpTests {
  private let answer = AddressInfo(
    family: .ipv4, kind: .stream, transportProtocol: 6, address: SocketAddress(ip: "192.0.2.1", port: 80)!)

  @Test("a look-up runs on another thread, and the loop goes on meanwhile")
  func offThread() throws {
    let release = OneShot<Bool>()
    let answer = answer
    let result = try runLoop { loop, kernel in
      let lookUpThread = OneShot<ThreadIdentity>()
      kernel.answerLookUps { _ in
        lookUpThread.set(.current)
        _ = release.wait()
        return [answer]
      }
      let task = loop.createTask { try await loop.lookUp(AddressQuery(host: "name.test", service: "80")) }
      try await loop.until { lookUpThread.current != nil }
      #expect(lookUpThread.wait() != .current)
      // Only a loop that goes on gets here to release it.
      release.set(true)
      return try await task.value
    }
    #expect(result == [answer])
  }

  @Test("numbers never leave the thread")
  func literal() throws {
    try runLoop { loop, kernel in
      let answers = try await loop.lookUp(AddressQuery(host: "::1", service: "443"))
      #expect(answers.map(\.address.description) == ["[::1]:443"])
      #expect(kernel.count(of: .lookUp) == 0)
    }
  }

  @Test("the resolver's error arrives")
  func failure() throws {
    try runLoop { loop, kernel in
      let error = ResolutionError(code: EAI_AGAIN, message: "try again", subject: "name.test:80")
      kernel.answerLookUps { _ throws(ResolutionError) in throw error }
      await #expect(throws: error) { try await loop.lookUp(AddressQuery(host: "name.test", service: "80")) }
    }
  }

  @Test("an empty answer is an error of the connection")
  func emptyAnswer() throws {
    try runLoop { loop, kernel in
      kernel.answerLookUps { _ in [] }
      await #expect(throws: (any Error).self) {
        _ = try await loop.openConnection(host: "name.test", port: 80)
      }
      #expect(kernel.count(of: .makeSocket) == 0)
    }
  }

  @Test("a cancelled look-up is abandoned, and its late answer ignored")
  func cancelled() throws {
    let release = OneShot<Bool>()
    let answered = OneShot<Bool>()
    let answer = answer
    try runLoop { loop, kernel in
      kernel.answerLookUps { _ in
        _ = release.wait()
        answered.set(true)
        return [answer]
      }
      let task = loop.createTask { try await loop.lookUp(AddressQuery(host: "name.test", service: "80")) }
      try await loop.until { kernel.count(of: .lookUp) == 1 }
      task.cancel()
      await #expect(throws: CancellationError.self) { try await task.value }
      release.set(true)
      try await loop.until { answered.current != nil }
      try await loop.sleep(for: .zero)
    }
  }

  @Test("an answer that comes after the loop closed makes no call into it")
  func lateAnswer() throws {
    let release = OneShot<Bool>()
    let answered = OneShot<Bool>()
    let answer = answer
    try runLoop { loop, kernel in
      kernel.answerLookUps { _ in
        _ = release.wait()
        answered.set(true)
        return [answer]
      }
      loop.createTask { _ = try await loop.lookUp(AddressQuery(host: "name.test", service: "80")) }
      try await loop.until { kernel.count(of: .lookUp) == 1 }
    }
    // The run did not wait for the look-up, and the loop is closed.
    #expect(answered.current == nil)
    release.set(true)
    #expect(answered.wait())
  }
}
