// SPDX-License-Identifier: Apache-2.0
import SystemPackage
import Testing

@testable import AsyncIO

@Suite("Datagram transport: sending and receiving")
struct DatagramTransportTests {
  @Test("a datagram comes with its sender's address; without an address it goes to the connected peer")
  func addresses() throws {
    try runLoop { loop, kernel in
      let (server, client) = try await loop.endpointPair()
      client.transport.sendTo("question")
      try await loop.until { server.datagrams.count == 1 }
      #expect(server.datagrams == [.init(bytes: Array("question".utf8), sender: client.address)])
      server.transport.sendTo(Array("answer".utf8), server.datagrams[0].sender)
      try await loop.until { client.datagrams.count == 1 }
      #expect(client.datagrams == [.init(bytes: Array("answer".utf8), sender: server.address)])
      // The connected peer's own address may be given.
      client.transport.sendTo("again".utf8Span.span, server.address)
      try await loop.until { server.texts == ["question", "again"] }
      try await loop.close(server, client)
      #expect(client.calls == [.made, .datagram, .lost(nil)])
    }
  }

  @Test("without an address and a peer it is an error, and the endpoint stays open")
  func noDestination() throws {
    try runLoop { loop, kernel in
      let endpoint = try await loop.openEndpoint()
      endpoint.transport.sendTo("to whom?")
      #expect(endpoint.ioErrors.map(\.code) == [Errno(rawValue: 89 /* EDESTADDRREQ */)])
      #expect(!endpoint.transport.isClosing)
      try await loop.close(endpoint)
    }
  }

  @Test("IPv6")
  func ipv6() throws {
    try runLoop { loop, kernel in
      let server = try await loop.openEndpoint(host: "::1")
      let client = try await loop.openEndpoint(host: "::1")
      client.transport.sendTo("six", server.address)
      try await loop.until { server.texts == ["six"] }
      #expect(server.datagrams[0].sender == client.address)
      #expect(client.address.family == .ipv6)
      try await loop.close(server, client)
    }
  }

  @Test("A datagram of any size that UDP knows arrives whole", arguments: [0, 1, 1472, 65_507])
  func sizes(_ size: Int) throws {
    try runLoop { loop, kernel in
      let (server, client) = try await loop.endpointPair()
      let bytes = pattern(size)
      client.transport.sendTo(bytes)
      try await loop.until { server.datagrams.count == 1 }
      #expect(server.datagrams[0].bytes == bytes)
      server.transport.sendTo(bytes, client.address)
      try await loop.until { client.datagrams.count == 1 }
      #expect(client.datagrams[0].bytes == bytes)
      try await loop.close(server, client)
    }
  }

  @Test("a datagram that is too long is reported, not swallowed, and the endpoint stays open")
  func tooLong() throws {
    try runLoop { loop, kernel in
      let (server, client) = try await loop.endpointPair()
      client.transport.sendTo([UInt8](repeating: 1, count: 65_508))
      #expect(client.calls == [.made, .error(.messageTooLong)])
      #expect(client.ioErrors.first?.operation == "send")
      #expect(client.ioErrors.first?.subject == server.address.description)
      client.transport.sendTo("short")
      try await loop.until { server.texts == ["short"] }
      try await loop.close(server, client)
    }
  }

  @Test("an empty datagram is sent and received, also from the queue; it is not the end")
  func empty() throws {
    try runLoop { loop, kernel in
      let (server, client) = try await loop.endpointPair()
      client.transport.sendTo([])
      try await loop.until { server.texts == [""] }
      kernel.inject(.wouldBlock, into: .sendDatagram)
      client.transport.sendTo("")
      #expect(client.transport.writeBufferSize > 0)
      client.transport.sendTo("then")
      try await loop.until { server.texts == ["", "", "then"] }
      #expect(!server.transport.isClosing)
      try await loop.close(server, client)
    }
  }

  @Test("what would block is queued as a private copy with its address, and sent in order")
  func queue() throws {
    try runLoop { loop, kernel in
      let first = try await loop.openEndpoint()
      let second = try await loop.openEndpoint()
      let sender = try await loop.openEndpoint()
      kernel.inject(.wouldBlock, into: .sendDatagram)
      var bytes = Array("0".utf8)
      sender.transport.sendTo(bytes, first.address)
      bytes[0] = 120
      for number in 1..<6 {
        sender.transport.sendTo("\(number)", number.isMultiple(of: 2) ? first.address : second.address)
      }
      // Once something is queued, nothing overtakes it.
      #expect(kernel.count(of: .sendDatagram) == 1)
      #expect(sender.transport.writeBufferSize == 6 * (1 + DatagramQueue.overhead))
      try await loop.until { first.datagrams.count == 3 && second.datagrams.count == 3 }
      #expect(first.texts == ["0", "2", "4"])
      #expect(second.texts == ["1", "3", "5"])
      #expect(kernel.count(of: .sendBatch) == 1)
      #expect(sender.transport.writeBufferSize == 0)
      // With an empty queue it tries at once again.
      sender.transport.sendTo("6", first.address)
      #expect(kernel.count(of: .sendDatagram) == 2)
      try await loop.until { first.texts == ["0", "2", "4", "6"] }
      try await loop.close(first, second, sender)
    }
  }

  @Test("a retry that fails puts the datagram back in front, and one that takes a part leaves the rest")
  func retry() throws {
    try runLoop { loop, kernel in
      let (server, client) = try await loop.endpointPair()
      kernel.inject(.wouldBlock, into: .sendDatagram)
      kernel.inject(.wouldBlock, into: .sendBatch, times: 2)
      kernel.limit(.sendBatch, toBytes: 2)
      let texts = (0..<5).map(String.init)
      for text in texts { client.transport.sendTo(text) }
      try await loop.until { server.datagrams.count == 5 }
      #expect(server.texts == texts)
      // Two that failed, then two, two, and one.
      #expect(kernel.count(of: .sendBatch) == 5)
      #expect(client.errors.isEmpty)
      try await loop.close(server, client)
    }
  }

  @Test("more than one batch is queued and arrives in order")
  func manyBatches() throws {
    try runLoop { loop, kernel in
      let (server, client) = try await loop.endpointPair()
      kernel.inject(.wouldBlock, into: .sendDatagram)
      let texts = (0..<(2 * OutgoingDatagram.batchLimit + 5)).map(String.init)
      for text in texts { client.transport.sendTo(text) }
      try await loop.until { server.datagrams.count == texts.count }
      #expect(server.texts == texts)
      #expect(kernel.count(of: .sendBatch) == 3)
      try await loop.close(server, client)
    }
  }

  @Test("a port that refuses is told to errorReceived, and the endpoint stays open")
  func refused() throws {
    try runLoop { loop, kernel in
      let refusing = try RefusingPort()
      defer { refusing.close() }
      let client = try await loop.connectedEndpoint(to: refusing.address)
      for round in 1...2 {
        client.transport.sendTo("anybody?")
        try await loop.until { client.errors.count == round }
      }
      #expect(client.calls == [.made, .error(.connectionRefused), .error(.connectionRefused)])
      #expect(client.ioErrors.last?.description.contains("\(refusing.address)") == true)
      #expect(!client.transport.isClosing)
      try await loop.close(client)
      #expect(client.calls.last == .lost(nil))
    }
  }

  @Test("an error of receiving is told, and what comes next is received")
  func receiveError() throws {
    try runLoop { loop, kernel in
      let (server, client) = try await loop.endpointPair()
      let errors = loop.collectErrors()
      kernel.inject(.networkDown, into: .receiveBatch)
      client.transport.sendTo("after the error")
      try await loop.until { server.datagrams.count == 1 }
      #expect(server.calls == [.made, .error(.networkDown), .datagram])
      #expect(server.ioErrors.first?.operation == "recv")
      kernel.inject(.wouldBlock, into: .receiveBatch)
      client.transport.sendTo("after nothing")
      try await loop.until { server.datagrams.count == 2 }
      #expect(server.errors.count == 1, "would-block is silent")
      // An error of the system is none for the exception handler.
      #expect(errors.messages == [])
      try await loop.close(server, client)
    }
  }

  @Test("an error while the queue is sent costs the datagram that it is about, and no other")
  func queuedError() throws {
    try runLoop { loop, kernel in
      let (server, client) = try await loop.endpointPair()
      kernel.inject(.wouldBlock, into: .sendDatagram)
      kernel.inject(.networkUnreachable, into: .sendBatch)
      for text in ["lost", "second", "third"] { client.transport.sendTo(text) }
      try await loop.until { server.datagrams.count == 2 }
      #expect(server.texts == ["second", "third"])
      #expect(client.calls == [.made, .error(.networkUnreachable)])
      try await loop.close(server, client)
    }
  }

  @Test("a datagram from the queue that is too long is reported, and the ones around it arrive")
  func queuedTooLong() throws {
    try runLoop { loop, kernel in
      let (server, client) = try await loop.endpointPair()
      kernel.inject(.wouldBlock, into: .sendDatagram)
      client.transport.sendTo("before")
      client.transport.sendTo([UInt8](repeating: 1, count: 65_508))
      client.transport.sendTo("behind")
      try await loop.until { server.datagrams.count == 2 }
      #expect(server.texts == ["before", "behind"])
      #expect(client.errors.count == 1 && client.ioErrors.first?.code == .messageTooLong)
      try await loop.close(server, client)
    }
  }

  @Test("an error that is answered by the same error does not call itself")
  func errorInError() throws {
    try runLoop { loop, kernel in
      let (server, client) = try await loop.endpointPair()
      let tooLong = [UInt8](repeating: 1, count: 65_508)
      var depth = 0
      client.onError = { _ in
        depth += 1
        #expect(depth == 1)
        if client.errors.count < 10 { client.transport.sendTo(tooLong) }
        depth -= 1
      }
      client.transport.sendTo(tooLong)
      try await loop.until { client.errors.count == 10 }
      try await loop.close(server, client)
    }
  }

  @Test("a flood gets one batch of each tick, and arrives in order")
  func boundedShare() throws {
    try runLoop { loop, kernel in
      let (server, client) = try await loop.endpointPair()
      let count = 3 * loop.transportMemory.packetBatch.capacity + 1
      for number in 0..<count { client.transport.sendTo("\(number)") }
      var inThisTick = 0
      var most = 0
      server.onDatagram = { _ in
        inThisTick += 1
        most = max(most, inThisTick)
      }
      func tick() {
        inThisTick = 0
        if server.datagrams.count < count { loop.callSoon(tick) }
      }
      loop.callSoon(tick)
      try await loop.until { server.datagrams.count == count }
      #expect(most == loop.transportMemory.packetBatch.capacity)
      #expect(server.texts == (0..<count).map(String.init))
      #expect(kernel.count(of: .receiveBatch) == 4)
      try await loop.close(server, client)
    }
  }

  @Test("A receiver that is slower than its sender loses datagrams, and nothing else")
  func slowReceiver() throws {
    try runLoop { loop, kernel in
      let (server, client) = try await loop.endpointPair()
      try #require(server.transport.getExtraInfo(.socket)).setOption(.receiveBufferSize, 16 * 1024)
      let bytes = pattern(1000)
      for _ in 0..<1000 { client.transport.sendTo(bytes) }
      try await loop.until { server.datagrams.count > 0 }
      client.transport.sendTo("the last")
      try await loop.until { server.texts.last == "the last" }
      #expect(server.datagrams.dropLast().allSatisfy { $0.bytes == bytes })
      #expect(server.datagrams.count < 1000)
      #expect(server.errors.isEmpty && client.errors.isEmpty)
      try await loop.close(server, client)
    }
  }

  @Test("A lone datagram is sent by the call and received in the same iteration as it is seen")
  func loneDatagram() throws {
    try runLoop { loop, kernel in
      let (server, client) = try await loop.endpointPair()
      client.transport.sendTo("alone")
      #expect(kernel.count(of: .sendDatagram) == 1)
      #expect(client.transport.writeBufferSize == 0)
      try await loop.until { server.datagrams.count == 1 }
      #expect(kernel.count(of: .receiveBatch) == 1)
      try await loop.close(server, client)
    }
  }
}
