// SPDX-License-Identifier: Apache-2.0
import AsyncIOTLS
import Testing

@testable import AsyncIO

/// TLS inside TLS: an engine made of two.
@Suite struct StackedTLSEngineTests {
  /// Carries bytes until nobody has more to say.
  private func talk(_ a: HandDrivenTLS, _ b: HandDrivenTLS, _ piece: Int) throws {
    while !a.outgoing.isEmpty || !b.outgoing.isEmpty {
      for (from, to) in [(a, b), (b, a)] {
        let bytes = from.takeOutgoing()
        for start in stride(from: 0, to: bytes.count, by: piece) {
          try to.feed(Array(bytes[start..<min(bytes.count, start + piece)]))
        }
      }
    }
  }

  @Test("An engine over another works with pieces of any size, both ways", arguments: [1, 7, 100, 100_000])
  func stacked(piece: Int) throws {
    let (server, client) = (try serverTLS(), try clientTLS())
    let role = TLSRole.client(serverName: "localhost")
    let (lowerA, lowerB) = (try HandDrivenTLS(client, role), try HandDrivenTLS(server, .server))
    try lowerA.feed([])
    try talk(lowerA, lowerB, piece)
    #expect(lowerA.isDone && lowerB.isDone)
    let a = HandDrivenTLS(StackedTLSEngine(try client.makeEngine(for: role), over: lowerA.engine))
    let b = HandDrivenTLS(StackedTLSEngine(try server.makeEngine(for: .server), over: lowerB.engine))
    try a.feed([])
    try talk(a, b, piece)
    #expect(a.isDone && b.isDone)
    #expect(a.engine.info.serverName == "localhost")
    // Bytes by themselves take time.
    let size = min(50_000, piece * 500)
    let (question, answer) = (pattern(size), pattern(size / 2))
    try a.send(question)
    try b.send(answer)
    try talk(a, b, piece)
    #expect(b.received == question)
    #expect(a.received == answer, "\(a.received.count) of \(answer.count)")
    a.close()
    try talk(a, b, piece)
    #expect(b.hasEnded && !a.hasEnded)
  }

  @Test("Bytes that were taken from the lower engine before come first, and what it has itself right behind them")
  func stackedReceived() throws {
    let plain = PlainTLS(piece: 20)
    let (upper, lower) = (try plain.makeEngine(for: .server), try plain.makeEngine(for: .server))
    let stack = HandDrivenTLS(StackedTLSEngine(upper, over: lower, received: octets("first")))
    try stack.feed(octets(" and second"))
    #expect(stack.received == octets("first and second"))
  }

  @Test("An upper engine's error reaches the peer through the lower one")
  func stackedAlert() throws {
    let (server, client) = (try serverTLS("foreign"), try clientTLS())
    let role = TLSRole.client(serverName: "localhost")
    let anyone = try clientTLS { $0.verification = .insecureNone }
    let (lowerA, lowerB) = (try HandDrivenTLS(anyone, role), try HandDrivenTLS(server, .server))
    try lowerA.feed([])
    try talk(lowerA, lowerB, 1000)
    let a = HandDrivenTLS(StackedTLSEngine(try client.makeEngine(for: role), over: lowerA.engine))
    let b = HandDrivenTLS(StackedTLSEngine(try server.makeEngine(for: .server), over: lowerB.engine))
    try a.feed([])
    try b.feed(a.takeOutgoing())
    let bytes = b.takeOutgoing()
    #expect(throws: TLSError.self) { try a.feed(bytes) }
    let alert = a.takeOutgoing()
    do {
      try b.feed(alert)
      Issue.record("no alert came")
    } catch let error as TLSError {
      #expect(error.reason.contains("unknown ca"))
    }
  }

  @Test(
    "A lower end during the upper handshake, or without the upper one's goodbye, is an error", arguments: [false, true])
  func lowerEnds(isDone: Bool) throws {
    let (server, client) = (try serverTLS(), try clientTLS())
    let role = TLSRole.client(serverName: "localhost")
    for accepts in [false, true] {
      let (lowerA, lowerB) = (try HandDrivenTLS(client, role), try HandDrivenTLS(server, .server))
      try lowerA.feed([])
      try talk(lowerA, lowerB, 1000)
      let a = HandDrivenTLS(
        StackedTLSEngine(try client.makeEngine(for: role), over: lowerA.engine, acceptsTruncation: accepts))
      let b = HandDrivenTLS(StackedTLSEngine(try server.makeEngine(for: .server), over: lowerB.engine))
      try a.feed([])
      if isDone { try talk(a, b, 1000) }
      lowerB.close()
      let end = lowerB.takeOutgoing()
      if isDone, accepts {
        try a.feed(end)
        #expect(a.hasEnded)
      } else {
        do {
          try a.feed(end)
          Issue.record("the end went unnoticed")
        } catch let error as TLSError {
          #expect(error.code == (isDone ? .truncated : .handshake))
        }
      }
    }
  }

  // MARK: What goes wrong below

  /// Both ends of a connection that is encrypted once, and their stacks for the second time.
  private struct Stacks {
    let lowerA: HandDrivenTLS
    let lowerB: HandDrivenTLS
    let a: HandDrivenTLS
    let b: HandDrivenTLS
    let tls: ProbedTLS
  }

  private func stacks() throws -> Stacks {
    let (server, client) = (ProbedTLS(try serverTLS()), try clientTLS())
    let role = TLSRole.client(serverName: "localhost")
    let (lowerA, lowerB) = (try HandDrivenTLS(client, role), HandDrivenTLS(try server.makeEngine(for: .server)))
    try lowerA.feed([])
    try talk(lowerA, lowerB, 1000)
    let a = HandDrivenTLS(StackedTLSEngine(try client.makeEngine(for: role), over: lowerA.engine))
    let b = HandDrivenTLS(StackedTLSEngine(try serverTLS().makeEngine(for: .server), over: lowerB.engine))
    return Stacks(lowerA: lowerA, lowerB: lowerB, a: a, b: b, tls: server)
  }

  private func tlsError(_ body: () throws -> Void) throws -> TLSError? {
    do {
      try body()
      return nil
    } catch let error as TLSError { return error }
  }

  @Test(
    "A damaged record of the lower connection is an error, behind the plaintext before it", arguments: [false, true])
  func lowerDamage(isDone: Bool) throws {
    let stacks = try stacks()
    let (a, b) = (stacks.a, stacks.b)
    try a.feed([])
    if isDone { try talk(a, b, 1000) }
    if isDone { try b.send(octets("fine")) }
    let fine = b.takeOutgoing()
    try stacks.lowerB.send(octets("damaged"))
    var damaged = stacks.lowerB.takeOutgoing()
    damaged[8] ^= 1
    let error = try tlsError { try a.feed(fine + damaged) }
    #expect(error?.reason.contains("bad record mac") == true)
    #expect(a.received == (isDone ? octets("fine") : []))
    #expect(a.isDone == isDone && !a.hasEnded)
  }

  @Test("The lower connection's end is told behind the plaintext before it")
  func plaintextBeforeLowerEnd() throws {
    let stacks = try stacks()
    let (a, b) = (stacks.a, stacks.b)
    try a.feed([])
    try talk(a, b, 1000)
    try b.send(octets("all there is"))
    stacks.lowerB.close()
    let bytes = b.takeOutgoing() + stacks.lowerB.takeOutgoing()
    let error = try tlsError { try a.feed(bytes) }
    #expect(error?.code == .truncated)
    #expect(a.received == octets("all there is"))
  }

  @Test("A lower engine that fails to encrypt is an error of the call")
  func lowerFailsToEncrypt() throws {
    let stacks = try stacks()
    try stacks.a.feed([])
    try talk(stacks.a, stacks.b, 1000)
    stacks.tls.failEncryption(after: 1)
    try stacks.b.send(octets("the last"))
    let error = try tlsError { try stacks.b.send(octets("lost")) }
    #expect(error?.reason.contains("as the test wants it") == true)
    try stacks.a.feed(stacks.b.takeOutgoing())
    #expect(stacks.a.received == octets("the last"))
    // Nothing more comes of it, and nothing traps.
    stacks.b.close()
    #expect(stacks.b.outgoing == [])
  }

  @Test("A close says goodbye on both connections, the inner one first")
  func closesBoth() throws {
    let stacks = try stacks()
    try stacks.a.feed([])
    try talk(stacks.a, stacks.b, 1000)
    stacks.a.close()
    // An alert of two bytes takes 19, and that in a record of the outer connection 5 + 19 + 17.
    #expect(records(in: stacks.a.outgoing).map(\.length) == [41, 19])
  }
}
