// SPDX-License-Identifier: Apache-2.0
import Dispatch
import SystemPackage
import Testing

@testable import AsyncIO

/// Several addresses for one connection: one after the other, or side by side (RFC 8305).
@Suite struct ConnectionRaceTests {
  @Test(
    "The addresses of two families take turns, after some of the preferred one",
    arguments: [
      (1, "6.1 4.1 6.2 4.2 6.3"), (2, "6.1 6.2 4.1 6.3 4.2"), (3, "6.1 6.2 6.3 4.1 4.2"), (9, "6.1 6.2 6.3 4.1 4.2"),
    ])
  func interleaving(first: Int, expected: String) {
    func info(_ family: AddressFamily, _ number: Int) -> AddressInfo {
      let ip = family == .ipv6 ? "::\(number)" : "0.0.0.\(number)"
      return AddressInfo(
        family: family, kind: .stream, transportProtocol: 0, address: SocketAddress(ip: ip, port: 1)!)
    }
    let list = [info(.ipv6, 1), info(.ipv6, 2), info(.ipv6, 3), info(.ipv4, 1), info(.ipv4, 2)]
    let names = list.interleaved(first: first).map { info in
      "\(info.family == .ipv6 ? 6 : 4).\(info.address.host?.last ?? " ")"
    }
    #expect(names.joined(separator: " ") == expected)
    #expect([AddressInfo]().interleaved(first: first) == [])
    #expect(Array(list.prefix(3)).interleaved(first: first) == Array(list.prefix(3)))
  }

  @Test("The next attempt begins when the delay has passed on the loop's clock; the loser is closed")
  func delay() throws {
    try runLoop { loop, kernel in
      let black = try await BlackHole(loop, kernel)
      let (server, accepted) = try await recordingServer(loop)
      let live = try #require(server.address)
      let hole = black.info
      kernel.answerLookUps { _ in [hole, info(live)] }
      let before = kernel.openDescriptors
      let connects = kernel.count(of: .connect)
      let recorder = Recorder()
      let connecting = loop.createTask {
        _ = try await loop.createConnection(
          { recorder }, host: "two.test", port: 1, happyEyeballsDelay: .seconds(3600), interleave: 0)
      }
      try await loop.until { kernel.count(of: .connect) == connects + 1 }
      try await loop.turn()
      #expect(kernel.count(of: .connect) == connects + 1)
      connecting.cancel()
      #expect(await thrown { try await connecting.value } is CancellationError)
      #expect(kernel.openDescriptors == before)

      let second = loop.createTask {
        _ = try await loop.createConnection(
          { recorder }, host: "two.test", port: 1, happyEyeballsDelay: .seconds(10), interleave: 0)
      }
      try await loop.until { kernel.count(of: .connect) == connects + 2 }
      kernel.advanceClock(by: .seconds(9))
      try await loop.turn()
      #expect(kernel.count(of: .connect) == connects + 2, "a second too early")
      kernel.advanceClock(by: .seconds(1))
      try await second.value
      #expect(kernel.count(of: .connect) == connects + 3)
      #expect(recorder.transport.remoteAddress == live)
      try await loop.until { accepted.recorders.count == 1 }
      let sockets = kernel.openDescriptors.subtracting(before)
      #expect(sockets.count == 2, "the two ends of the connection, and not the loser")
      recorder.transport.abort()
      server.close()
      server.abortClients()
      black.close()
    }
  }

  @Test("A failure starts the next attempt at once")
  func failureStartsNext() throws {
    try runLoop { loop, kernel in
      let (server, _) = try await recordingServer(loop)
      let live = try #require(server.address)
      let (deaf, dead) = try deafSocket(kernel)
      defer { deaf.close() }
      kernel.answerLookUps { _ in addresses(["127.0.0.1", "127.0.0.2"], dead) + [info(live)] }
      let recorder = Recorder()
      let start = loop.time
      _ = try await loop.createConnection({ recorder }, host: "x.test", port: 1, happyEyeballsDelay: .seconds(1000))
      #expect(start.duration(to: loop.time) < .seconds(1000))
      #expect(recorder.transport.remoteAddress == live)
      recorder.transport.abort()
      server.close()
      server.abortClients()
    }
  }

  @Test("when all fail, one error lists each address with its own", arguments: [nil, .seconds(60)] as [Duration?])
  func allFail(delay: Duration?) throws {
    try runLoop { loop, kernel in
      let (deaf, port) = try deafSocket(kernel)
      defer { deaf.close() }
      let list = addresses(["127.0.0.1", "127.0.0.2", "127.0.0.3"], port)
      kernel.answerLookUps { _ in list }
      // The second gets no socket at all.
      kernel.inject(.addressFamilyNotSupported, into: .makeSocket, skip: 1)
      let before = kernel.openDescriptors
      let error = try await ioError {
        try await loop.createConnection({ Recorder() }, host: "x.test", port: port, happyEyeballsDelay: delay)
      }
      #expect(error.code == .connectionRefused && error.subject == "x.test:\(port)")
      #expect(error.attempts.map(\.code) == [.connectionRefused, .addressFamilyNotSupported, .connectionRefused])
      for address in list { #expect(error.description.contains(address.address.description)) }
      #expect(error.description.contains("ECONNREFUSED") && error.description.contains("EAFNOSUPPORT"))
      #expect(kernel.openDescriptors == before)
    }
  }

  @Test("A single address fails with its own error, with a delay or without", arguments: [nil, .zero] as [Duration?])
  func singleAddress(delay: Duration?) throws {
    try runLoop { loop, kernel in
      let (deaf, port) = try deafSocket(kernel)
      defer { deaf.close() }
      let error = try await ioError {
        try await loop.openConnection(host: "127.0.0.1", port: port, happyEyeballsDelay: delay)
      }
      #expect(error == IOError(.connectionRefused, "connect", "127.0.0.1:\(port)"))
    }
  }

  @Test("Two that succeed at once: one wins, the other is closed before the caller goes on")
  func bothSucceed() throws {
    try runLoop { loop, kernel in
      let (first, _) = try await recordingServer(loop)
      let (second, _) = try await recordingServer(loop)
      let both = [info(try #require(first.address)), info(try #require(second.address))]
      kernel.answerLookUps { _ in both }
      let before = kernel.openDescriptors
      let recorder = Recorder()
      _ = try await loop.createConnection({ recorder }, host: "both.test", port: 1, happyEyeballsDelay: .zero)
      let mine = try #require(recorder.transport.getExtraInfo(.socket)).descriptor.rawValue
      let accepted = first.connectionCount + second.connectionCount
      #expect(kernel.openDescriptors.subtracting(before).count == 1 + accepted)
      #expect(kernel.openDescriptors.contains(mine))
      recorder.transport.abort()
      for server in [first, second] {
        server.close()
        server.abortClients()
      }
    }
  }

  @Test("cancellation leaves nothing, in the look-up, the first attempt, or several")
  func cancellation() throws {
    try runLoop { loop, kernel in
      let black = try await BlackHole(loop, kernel)
      let before = kernel.openDescriptors
      let connects = kernel.count(of: .connect)
      let hole = black.info
      let gate = DispatchSemaphore(value: 0)
      kernel.answerLookUps { query throws(ResolutionError) in
        if query.host == "hangs.test" { gate.wait() }
        return [hole, hole, hole]
      }
      func connect(_ host: String, _ delay: Duration?) -> LoopTask<Void> {
        loop.createTask {
          _ = try await loop.createConnection({ Recorder() }, host: host, port: 1, happyEyeballsDelay: delay)
        }
      }
      func cancel(_ task: LoopTask<Void>) async {
        task.cancel()
        #expect(await thrown { try await task.value } is CancellationError)
        #expect(kernel.openDescriptors == before)
        #expect(loop.readiness.watchedCount == 0)
      }
      let lookingUp = connect("hangs.test", .zero)
      try await loop.until { kernel.count(of: .lookUp) == 1 }
      await cancel(lookingUp)
      gate.signal()

      let inTurn = connect("black.test", nil)
      try await loop.until { kernel.count(of: .connect) == connects + 1 }
      await cancel(inTurn)

      let alone = connect("black.test", .seconds(1000))
      try await loop.until { kernel.count(of: .connect) == connects + 2 }
      await cancel(alone)

      let together = connect("black.test", .zero)
      try await loop.until { kernel.count(of: .connect) == connects + 5 }
      await cancel(together)

      let atOnce = connect("black.test", .zero)
      await cancel(atOnce)
      black.close()
    }
  }

  @Test("An error that is nobody's refusal ends the race")
  func fatalError() throws {
    try runLoop { loop, kernel in
      let black = try await BlackHole(loop, kernel)
      let hole = black.info
      kernel.answerLookUps { _ in [hole, hole] }
      let before = kernel.openDescriptors
      kernel.inject(.noMemory, into: .add, times: 2)
      let error = try await ioError {
        try await loop.createConnection({ Recorder() }, host: "x.test", port: 1, happyEyeballsDelay: .zero)
      }
      #expect(error == IOError(.noMemory, "connect", hole.address.description), "both say the same")
      #expect(kernel.openDescriptors == before)
      black.close()
    }
  }
}

private func info(_ address: SocketAddress) -> AddressInfo {
  AddressInfo(family: address.family, kind: .stream, transportProtocol: 0, address: address)
}

/// An address that neither takes nor refuses connections: its listener's queue is full.
private final class BlackHole {
  let info: AddressInfo
  private let sockets: [Socket]

  init(_ loop: EventLoop, _ kernel: TestKernel) async throws {
    let listener = try listeningSocket(kernel, backlog: 0)
    let address = try #require(listener.localAddress)
    let filler = try await Peer.connect(to: address, loop, kernel)
    info = AddressInfo(family: .ipv4, kind: .stream, transportProtocol: 0, address: address)
    sockets = [listener, filler.socket]
  }

  func close() { for socket in sockets { socket.close() } }
}
