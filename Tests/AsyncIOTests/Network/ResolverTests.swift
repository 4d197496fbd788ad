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

      kernel.answerLookUps { _ in [] }
      let error = try await ioError { try await loop.openConnection(host: "empty.test", port: 80) }
      #expect(error == IOError(.addressNotAvailable, "connect", "empty.test:80"))
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

  @Test("look-ups that hang hold up neither the loop nor their cancelled tasks")
  func hangingLookUps() throws {
    try runLoop { loop, kernel in
      let gate = DispatchSemaphore(value: 0)
      defer { for _ in 0..<4 { gate.signal() } }
      kernel.answerLookUps { query throws(ResolutionError) in
        if query.host == "hangs.test" { gate.wait() }
        return addresses(["127.0.0.1"], 80)
      }
      let hanging = (0..<4).map { _ in
        loop.createTask { _ = try await loop.getaddrinfo(host: "hangs.test", port: 80, type: .stream) }
      }
      try await loop.until("all threads are taken") { kernel.count(of: .lookUp) == 4 }
      let queued = (0..<10).map { _ in
        loop.createTask { _ = try await loop.getaddrinfo(host: "queued.test", port: 80, type: .stream) }
      }
      try await loop.turn()
      var hasRun = false
      loop.callLater(.milliseconds(1)) { hasRun = true }
      try await loop.until { hasRun }
      #expect(try await loop.getaddrinfo(host: "::1", port: 1, type: .stream).count == 1)
      for task in hanging + queued { task.cancel() }
      for task in hanging + queued { #expect(await thrown { try await task.value } is CancellationError) }

      // Late answers find nobody, and what was cancelled in the queue is not begun any more.
      for _ in 0..<4 { gate.signal() }
      #expect(try await loop.getaddrinfo(host: "next.test", port: 80, type: .stream).count == 1)
      #expect(kernel.count(of: .lookUp) == 5)
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
