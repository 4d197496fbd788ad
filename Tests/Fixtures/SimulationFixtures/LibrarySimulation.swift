// SPDX-License-Identifier: Apache-2.0
import AsyncIO
import AsyncIOTLS
import AsyncIOTesting

/// A day in the life of the library, by seed: servers of every kind, clients that do what clients do, and a network and kernels
/// that have a bad day.
///
/// What has to hold: bytes arrive in order and once, or the connection fails; protocols are called in their order; every call
/// ends; nothing is left in the end. The last two the network checks by itself.
package final class LibrarySimulation {
  enum Kind: CaseIterable { case streams, callbacks, tls, upgraded, unix, datagrams }

  private let network: SimulatedNetwork
  private let server: SimulatedHost
  private let clients: [SimulatedHost]
  private let kind: Kind
  private let violations = Violations()
  /// Whether nothing goes wrong in this run, so that everything has to succeed.
  private var isCalm: Bool
  /// The loop of the server's process that a signal is to end.
  private var ending: EventLoop?

  /// - Parameters:
  ///   - network: where it happens.
  ///   - withTLS: whether some of the connections may be encrypted. How many bytes that takes differs from process to process.
  package init(_ network: SimulatedNetwork, withTLS: Bool = true) {
    self.network = network
    let kinds = withTLS ? Kind.allCases : [.streams, .callbacks, .unix, .datagrams]
    kind = kinds[network.choose(kinds.count)]
    isCalm = network.choose(4) == 0
    server = network.host("server")
    // Unix sockets are within a host.
    clients = kind == .unix ? [server] : (0...network.choose(2)).map { network.host("client\($0)") }
    network.conditions = LinkConditions(
      latency: .zero ... .milliseconds(network.choose(3) * 10),
      bytesPerSecond: network.choose(3) == 0 ? 1_000_000 : nil,
      datagramLoss: isCalm ? 0 : 0.05, datagramDuplicates: isCalm ? 0 : 0.05)
    for host in network.hosts { host.socketBufferSize = [1_000, 10_000, 212_992][network.choose(3)] }
    if !isCalm {
      let rate = [0, 0.001, 0.01, 0.05][network.choose(4)]
      network.faultRates = FaultRates(refusals: rate, resets: rate / 4, failedLookUps: rate)
    }
  }

  package func run() async throws {
    let serving = server.start(name: "server") { loop in try await self.serve(loop) }
    var runs: [LoopTask<Void>] = []
    for client in clients {
      for number in 0...network.choose(3) {
        runs.append(client.start(name: "client \(number)") { loop in try await self.visit(loop) })
      }
    }
    let chaos = isCalm || kind == .unix ? nil : network.loop.createTask(name: "chaos") { try await self.disturb() }
    for run in runs { try await run.value }
    chaos?.cancel()
    _ = await chaos?.outcome
    try await serveAfterwards()
    if server.isUp { serving.cancel() }
    try violations.check()
  }

  /// When the bad day is over, everything works again.
  private func serveAfterwards() async throws {
    network.heal()
    network.faultRates = .none
    try await replaceProcess()
    if !server.isUp {
      try server.restart()
      server.start(name: "server at last") { loop in try await self.serve(loop) }
    }
    // Whoever was refused something tries again by then.
    try await network.loop.sleep(for: .seconds(10))
    isCalm = true
    guard kind != .datagrams else { return }
    for client in clients { try await client.run(name: "last visit") { loop in try await self.exchange(loop) } }
  }

  // MARK: The server

  private func serve(_ loop: EventLoop) async throws {
    while true {
      do {
        try await serveOnce(loop)
        return
      } catch let error as IOError {
        // Refused by the kernel, in which case it is tried again, as a service manager would.
        if isCalm { throw error }
        try await loop.sleep(for: .milliseconds(10))
      }
    }
  }

  private func serveOnce(_ loop: EventLoop) async throws {
    if kind == .datagrams {
      let (transport, _) = try await loop.createDatagramEndpoint(
        { DatagramEcho() }, localAddress: ("0.0.0.0", 7))
      defer { transport.close() }
      try await Future<Void>(loop).value
    }
    let server = try await makeServer(loop)
    if network.choose(2) == 0 { return try await server.serveForever() }
    let grace = Duration.seconds(network.choose(5))
    try await loop.withServer(server, gracePeriod: grace) { server in try await server.waitClosed() }
  }

  private func makeServer(_ loop: EventLoop) async throws -> Server {
    switch kind {
    case .callbacks:
      return try await loop.createServer({ WatchedEcho(self.violations) }, port: 7)
    case .unix:
      return try await loop.startUnixServer(path: "/run/echo") { try await self.echo($0, $1) }
    case .tls:
      return try await loop.startServer(port: 7, tls: try TestCertificate.serverTLS()) { try await self.echo($0, $1) }
    case .upgraded:
      return try await loop.startServer(port: 7) { reader, writer in
        guard try await reader.readLine() == Array("STARTTLS\n".utf8) else { return }
        try await writer.send("GO\n")
        try await writer.startTLS(try TestCertificate.serverTLS())
        try await self.echo(reader, writer)
      }
    case .streams, .datagrams:
      return try await loop.startServer(port: 7) { try await self.echo($0, $1) }
    }
  }

  private func echo(_ reader: StreamReader, _ writer: StreamWriter) async throws {
    for try await chunk in reader { try await writer.send(chunk) }
  }

  // MARK: Clients

  private func visit(_ loop: EventLoop) async throws {
    for _ in 0...network.choose(3) {
      let task = loop.createTask(name: "visit") { [self] in
        kind == .datagrams ? try await ask(loop) : try await exchange(loop)
      }
      if !isCalm, network.choose(3) == 0 {
        loop.callLater(.microseconds(network.choose(30_000))) { task.cancel() }
      }
      switch await task.outcome {
      case .success: break
      case .failure(let error as Violation): throw error
      case .failure(let error): if isCalm, !isEarly(error) { throw error }
      }
      try await loop.sleep(for: .milliseconds(network.choose(20)))
    }
  }

  /// Whether it failed since the server had not begun to listen.
  private func isEarly(_ error: any Error) -> Bool {
    guard let error = error as? IOError else { return false }
    return error.code == .connectionRefused || error.code == .noSuchFileOrDirectory
  }

  private func exchange(_ loop: EventLoop) async throws {
    let bytes = pattern([0, 1, 700, 9_000, 40_000][network.choose(5)])
    try await loop.withTimeout(.seconds(200)) { [self] in
      let (reader, writer) = try await connect(loop)
      defer { writer.close() }
      let sender = loop.createTask(name: "sender") { [self] in
        var rest = bytes[...]
        while !rest.isEmpty {
          let chunk = Array(rest.prefix(1 + network.choose(20_000)))
          rest = rest.dropFirst(chunk.count)
          try await writer.send(chunk)
        }
        if writer.canWriteEOF { writer.writeEOF() }
      }
      var received: [UInt8] = []
      do {
        while received.count < bytes.count {
          let chunk = try await reader.read(1 + network.choose(30_000))
          if chunk.isEmpty { break }
          received += chunk
        }
        try check(received, bytes)
        if isCalm, received.count < bytes.count { throw Violation(description: "the end came before all bytes had") }
        try await sender.value
      } catch {
        sender.cancel()
        _ = await sender.outcome
        try check(received, bytes)
        throw error
      }
      if network.choose(2) == 0 {
        writer.close()
        try await writer.waitClosed()
      }
    }
  }

  private func check(_ received: [UInt8], _ sent: [UInt8]) throws {
    guard received.count <= sent.count, received[...] == sent[..<received.count] else {
      throw Violation(description: "the bytes that came back are not those that were sent")
    }
  }

  private func connect(_ loop: EventLoop) async throws -> (StreamReader, StreamWriter) {
    switch kind {
    case .unix:
      return try await loop.openUnixConnection(path: "/run/echo")
    case .tls:
      return try await loop.openConnection(host: "server", port: 7, tls: try TestCertificate.clientTLS())
    case .upgraded:
      let (reader, writer) = try await loop.openConnection(host: "server", port: 7)
      do {
        try await writer.send("STARTTLS\n")
        _ = try await reader.readLine()
        var tls = try TestCertificate.clientTLS()
        tls.serverHostname = "server"
        try await writer.startTLS(tls)
        return (reader, writer)
      } catch {
        writer.close()
        throw error
      }
    case .streams, .callbacks, .datagrams:
      let delay: Duration? = network.choose(2) == 0 ? .milliseconds(1) : nil
      return try await loop.openConnection(host: "server", port: 7, happyEyeballsDelay: delay)
    }
  }

  private func ask(_ loop: EventLoop) async throws {
    let asker = DatagramAsker(violations)
    let (transport, _) = try await loop.createDatagramEndpoint(
      { asker }, remoteAddress: ("server", 7), family: .ipv4)
    defer { transport.close() }
    for number in 0..<network.choose(100) where !transport.isClosing {
      transport.sendTo("\(number)")
      if network.choose(10) == 0 { try await loop.sleep(for: .milliseconds(1)) }
    }
    try await loop.sleep(for: .milliseconds(100))
  }

  // MARK: A bad day

  /// Waits until the server's process is over, if a signal is to end it, which no network holds up for long; starts the next.
  private func replaceProcess() async throws {
    let limit = network.time + .seconds(300)
    while let ending, server.isUp, server.loop === ending {
      if network.time > limit { throw Violation(description: "a signal has not ended the server") }
      try await network.loop.sleep(for: .milliseconds(10))
    }
    if ending.take() != nil { server.start(name: "server anew") { loop in try await self.serve(loop) } }
  }

  private func disturb() async throws {
    for _ in 0..<network.choose(6) {
      try await network.loop.sleep(for: .milliseconds(network.choose(40)))
      let client = clients[network.choose(clients.count)]
      switch network.choose(5) {
      case 0:
        network.partition(server, client)
        try await network.loop.sleep(for: .milliseconds(network.choose(20_000)))
        network.heal()
      case 1:
        network.resetConnections(between: server, and: client)
      case 2:
        network.block(from: server, to: client)
        try await network.loop.sleep(for: .milliseconds(network.choose(500)))
        network.heal()
      case 3:
        ending = server.loop
        server.raise(network.choose(2) == 0 ? .kill : .terminate)
        try await replaceProcess()
      default:
        server.crash()
        try await network.loop.sleep(for: .milliseconds(network.choose(3000)))
        try server.restart()
        server.start(name: "server again") { loop in try await self.serve(loop) }
      }
    }
  }
}

extension SimulatedNetwork {
  /// One of so many, drawn from the run's numbers.
  package func choose(_ count: Int) -> Int { Int(generator.next() % UInt64(max(1, count))) }
}
