// SPDX-License-Identifier: Apache-2.0
import Dispatch
import Glibc
import Synchronization
import SystemPackage
import Testing

@testable import AsyncIO

// Serialized, since look-ups share a few threads of the process, and some of these hang on purpose.
@Suite(.serialized) struct ResolverTests {
  /// What `kernel.answerLookUps` was asked, and where.
  private final class Questions: Sendable {
    struct Entry {
      var query: AddressQuery
      var wasOnLoop: Bool
    }
    private let entries = Mutex<[Entry]>([])
    var all: [Entry] { entries.withLock { $0 } }
    func append(_ entry: Entry) { entries.withLock { $0.append(entry) } }

    init(_ loop: EventLoop, _ kernel: TestKernel) {
      let remote = loop.remote
      kernel.answerLookUps { [self] query throws(ResolutionError) in
        append(Entry(query: query, wasOnLoop: remote.isOnLoopThread))
        return addresses(["127.0.0.1"], 80)
      }
    }
  }

  @Test("a name is looked up on another thread, with all that was asked for")
  func offTheThread() throws {
    try runLoop { loop, kernel in
      let questions = Questions(loop, kernel)
      let answers = try await loop.getaddrinfo(
        host: "example.test", service: "http", family: .ipv4, type: .stream, protocol: 6, flags: .passive)
      #expect(answers == addresses(["127.0.0.1"], 80))
      let entry = try #require(questions.all.first)
      #expect(!entry.wasOnLoop)
      let query = AddressQuery(
        host: "example.test", service: "http", family: .ipv4, kind: .stream, transportProtocol: 6, flags: .passive)
      #expect(entry.query == query)
      _ = try await loop.getaddrinfo(host: "", service: "", type: .datagram)
      let second = try #require(questions.all.last)
      #expect(second.query == AddressQuery(host: nil, service: nil, kind: .datagram), "empty means none")
    }
  }

  @Test("localhost and its port come from the real resolver; a failure carries its code and text")
  func realResolver() throws {
    try runLoop { loop, kernel in
      let found = try await loop.getaddrinfo(host: "localhost", port: 80, family: .ipv4, type: .stream)
      #expect(found.map(\.address.description) == ["127.0.0.1:80"])
      #expect(found.first?.transportProtocol == 6)
      let error = await thrown {
        try await loop.getaddrinfo(host: "localhost", port: 80, type: .stream, flags: .numericHost)
      }
      let failure = try #require(error as? ResolutionError)
      #expect(failure.code == EAI_NONAME && failure.operation == "getaddrinfo" && failure.subject == "localhost:80")
      #expect(failure.description == "getaddrinfo localhost:80: Name or service not known (-2)")
    }
  }

  @Test("numbers never leave the thread; a stream is TCP's, a datagram UDP's")
  func literals() throws {
    try runLoop { loop, kernel in
      let stream = try await loop.getaddrinfo(host: "127.0.0.1", port: 80, type: .stream)
      #expect(stream.map(\.transportProtocol) == [6])
      let datagram = try await loop.getaddrinfo(host: "::1", service: "53", type: .datagram)
      #expect(datagram.map(\.transportProtocol) == [17])
      #expect(datagram.first?.family == .ipv6 && datagram.first?.address.port == 53)
      #expect(kernel.count(of: .lookUp) == 0)

      // The resolver answers what we cannot, without asking anybody.
      let questions = Questions(loop, kernel)
      _ = try await loop.getaddrinfo(host: "127.0.0.1", port: 80)
      _ = try await loop.getaddrinfo(host: "127.0.0.1", port: 80, family: .ipv6, type: .stream, flags: .v4Mapped)
      _ = try await loop.getaddrinfo(host: "127.0.0.1", port: 80, type: .stream, flags: .canonicalName)
      for entry in questions.all {
        #expect(entry.wasOnLoop && entry.query.flags.isSuperset(of: [.numericHost, .numericService]))
      }
      #expect(questions.all.count == 3)
    }
  }

  @Test("a literal of the wrong family is an error, and every kind of socket answers when none is named")
  func literalFamilies() throws {
    try runLoop { loop, kernel in
      #expect(await thrown { try await loop.getaddrinfo(host: "::1", port: 1, family: .ipv4) } is ResolutionError)
      let all = try await loop.getaddrinfo(host: "127.0.0.1", port: 7)
      #expect(Set(all.map(\.kind)).isSuperset(of: [.stream, .datagram]))
      let named = try await loop.getaddrinfo(host: "127.0.0.1", port: 7, type: .stream, flags: .canonicalName)
      #expect(named.first?.canonicalName == "127.0.0.1")
    }
  }

  @Test("no port is 0, a numeric text is that port; an unknown service or an impossible port is an error")
  func services() throws {
    try runLoop { (loop, kernel) async throws in
      #expect(try await loop.getaddrinfo(host: "127.0.0.1", type: .stream).first?.address.port == 0)
      #expect(try await loop.getaddrinfo(host: "127.0.0.1", service: "", type: .stream).first?.address.port == 0)
      #expect(try await loop.getaddrinfo(host: "localhost", service: "443", type: .stream).first?.address.port == 443)
      for service in ["no-such-service", "65536", "-1", "99999999999999999999"] {
        for host in ["127.0.0.1", "localhost"] {
          let error = await thrown { try await loop.getaddrinfo(host: host, service: service, type: .stream) }
          #expect((error as? ResolutionError)?.code == EAI_SERVICE, "\(host):\(service)")
        }
      }
      #expect(await thrown { try await loop.getaddrinfo(host: "127.0.0.1", port: 65536) } is ResolutionError)
    }
  }

  @Test("A zero byte in a name does not cut it short", arguments: ["127.0.0.1\0.example.test", "localhost\0x"])
  func zeroByte(host: String) throws {
    try runLoop { (loop, kernel) async throws in
      let error = await thrown { try await loop.getaddrinfo(host: host, port: 80, type: .stream) }
      #expect((error as? ResolutionError)?.code == EAI_NONAME)
      #expect(await thrown { try await loop.openConnection(host: host, port: 80) } is ResolutionError)
    }
  }

  @Test("a scope survives into the address, and an empty answer is an error")
  func scopes() throws {
    try runLoop { loop, kernel in
      let found = try await loop.getaddrinfo(host: "fe80::1%7", port: 80, type: .stream)
      #expect(found.first?.address.scopeID == 7)
      #expect(found.first?.address.description == "[fe80::1%7]:80")
      let named = try await loop.getaddrinfo(host: "fe80::1%lo", port: 80, type: .stream)
      #expect(named.first?.address.scopeID == if_nametoindex("lo"))
      #expect(kernel.count(of: .lookUp) == 0, "on one link, a zone needs no resolver")

      kernel.answerLookUps { _ in [] }
      let error = try await ioError { try await loop.openConnection(host: "empty.test", port: 80) }
      #expect(error == IOError(.addressNotAvailable, "connect", "empty.test:80"))
    }
  }

  @Test("what a zone of an address beyond one link means is the resolver's to say: a name is refused")
  func zonesBeyondLink() throws {
    try runLoop { loop, kernel in
      for host in ["2001:db8::1%lo", "::1%lo"] {
        let error = await thrown { try await loop.getaddrinfo(host: host, port: 80, type: .stream) }
        #expect((error as? ResolutionError)?.code == EAI_NONAME, "\(host)")
        #expect(await thrown { try await loop.openConnection(host: host, port: 80) } is ResolutionError)
      }
      let asked = kernel.count(of: .lookUp)
      let numbered = try await loop.getaddrinfo(host: "2001:db8::1%1", port: 80, type: .stream)
      #expect(numbered.first?.address.scopeID == 1 && kernel.count(of: .lookUp) == asked + 1)
    }
  }

  @Test("a port may be the name of a service, wherever there is a host")
  func namedServices() throws {
    try runLoop { loop, kernel in
      let target = try await loop.startServer(host: "127.0.0.1", port: 0) { _, writer in writer.write("here") }
      let targetPort = target.port
      let asked = Shared<[String?]>([])
      kernel.answerLookUps { query throws(ResolutionError) in
        asked.withLock { $0.append(query.service) }
        guard query.service != "no-service" else {
          throw ResolutionError(code: EAI_SERVICE, message: "unknown", subject: query.subject)
        }
        let port = query.service == "greeting" ? targetPort : 0
        return addresses(["127.0.0.1"], port).map { info in
          var info = info
          info.kind = query.kind
          return info
        }
      }
      let (reader, writer) = try await loop.openConnection(
        host: "127.0.0.1", port: "greeting", localAddress: ("127.0.0.1", "any"))
      #expect(try await reader.read() == Array("here".utf8))
      writer.close()
      let server = try await loop.createServer({ Recorder() }, host: "127.0.0.1", port: "any")
      #expect(server.port > 0)
      let endpoint = try await loop.createDatagramEndpoint(
        DatagramRecorder.init, localAddress: ("127.0.0.1", "any"), remoteAddress: ("127.0.0.1", "greeting"))
      #expect(endpoint.transport.remoteAddress?.port == UInt16(target.port))
      #expect(asked.current == ["greeting", "any", "any", "any", "greeting"])
      let error = await thrown { try await loop.openConnection(host: "127.0.0.1", port: "no-service") }
      #expect((error as? ResolutionError)?.subject == "127.0.0.1:no-service")
      let impossible = try await ioError { try await loop.openConnection(host: "127.0.0.1", port: "65536") }
      #expect(impossible.code == .invalidArgument)
      for server in [target, server] { server.close() }
      try await loop.close(endpoint.protocol)
    }
  }

  @Test("a name with a control character shows it in the error")
  func unseenCharacters() throws {
    try runLoop { (loop, kernel) async throws in
      let error = await thrown { try await loop.getaddrinfo(host: "a\nb\0", port: 80, type: .stream) }
      #expect((error as? ResolutionError)?.subject == "a\\x0Ab\\x00:80")
    }
  }

  @Test("getnameinfo answers in names or numbers, and with the resolver's error")
  func nameInfo() throws {
    try runLoop { loop, kernel in
      let address = try #require(SocketAddress(ip: "127.0.0.1", port: 65_432))
      let numbers = try await loop.getnameinfo(address, flags: [.numericHost, .numericService])
      #expect(numbers.host == "127.0.0.1" && numbers.service == "65432")
      #expect(try await loop.getnameinfo(address, flags: .numericService).host == "localhost")
      let scoped = try #require(SocketAddress(ip: "fe80::1%lo", port: 1))
      let error = await thrown { try await loop.getnameinfo(scoped, flags: [.numericHost, .nameRequired]) }
      let failure = try #require(error as? ResolutionError)
      #expect(failure.operation == "getnameinfo" && failure.subject == scoped.description)
    }
  }

  @Test("look-ups that hang, waited for or abandoned, hold up neither the loop nor other look-ups")
  func hangingLookUps() throws {
    try runLoop { loop, kernel in
      let gate = Gate()
      defer { gate.open() }
      kernel.answerLookUps { query throws(ResolutionError) in
        if query.host == "hangs.test" { gate.pass() }
        return addresses(["127.0.0.1"], 80)
      }
      let hanging = (0..<40).map { _ in
        loop.createTask { _ = try await loop.getaddrinfo(host: "hangs.test", port: 80, type: .stream) }
      }
      try await loop.until("all have begun") { kernel.count(of: .lookUp) == 40 }
      for task in hanging[..<20] { task.cancel() }
      for task in hanging[..<20] { #expect(await thrown { try await task.value } is CancellationError) }
      var hasRun = false
      loop.callLater(.milliseconds(1)) { hasRun = true }
      try await loop.until { hasRun }
      #expect(try await loop.getaddrinfo(host: "next.test", port: 80, type: .stream).count == 1)
      #expect(kernel.count(of: .lookUp) == 41)
      for task in hanging { task.cancel() }
      for task in hanging[20...] { #expect(await thrown { try await task.value } is CancellationError) }
    }
  }

  @Test("any number of abandoned look-ups may come and go: those that follow are begun at once")
  func abandonedLookUps() throws {
    try runLoop { loop, kernel in
      let gate = Gate()
      let count = 80
      defer { gate.open() }
      kernel.answerLookUps { query throws(ResolutionError) in
        if query.host == "hangs.test" { gate.pass() }
        return addresses(["127.0.0.1"], 80)
      }
      for number in 1...count {
        let task = loop.createTask { _ = try await loop.getaddrinfo(host: "hangs.test", port: 80, type: .stream) }
        try await loop.until("it begins") { kernel.count(of: .lookUp) == number }
        task.cancel()
        #expect(await thrown { try await task.value } is CancellationError)
      }
      #expect(try await loop.getaddrinfo(host: "next.test", port: 80, type: .stream).count == 1)
    }
  }

  @Test("an answer that comes after the loop was closed is ignored")
  func answerAfterClose() throws {
    let gate = DispatchSemaphore(value: 0)
    let answered = DispatchSemaphore(value: 0)
    try withLoop { loop, kernel in
      kernel.answerLookUps { query throws(ResolutionError) in
        gate.wait()
        answered.signal()
        return addresses(["127.0.0.1"], 80)
      }
      let task = loop.createTask { _ = try await loop.openConnection(host: "late.test", port: 80) }
      loop.callSoon { lookForStart(loop, kernel) }
      try loop.runForever()
      loop.close()
      gate.signal()
      #expect(answered.wait(timeout: .now() + 20) == .success)
      task.cancel()
      #expect(kernel.count(of: .makeSocket) == 0)
    }
  }

  private func lookForStart(_ loop: EventLoop, _ kernel: TestKernel) {
    if kernel.count(of: .lookUp) == 1 {
      loop.stop()
    } else {
      loop.callLater(.milliseconds(1)) { lookForStart(loop, kernel) }
    }
  }
}
