// SPDX-License-Identifier: Apache-2.0
import AsyncIO
import AsyncIOTesting

let testingSteps = [
  Step("a day of timers, in virtual time", dayOfTimers),
  Step("a deadlock, told at once", toldDeadlock),
  Step("a network that parts and heals", partedNetwork),
  Step("the same seed, the same run", sameRun),
]

@Sendable func dayOfTimers(_ loop: EventLoop) async throws -> String {
  let fired = try await withTestLoop { loop in
    var fired = 0
    for hour in 1...24 { loop.callLater(.seconds(hour * 3600)) { fired += 1 } }
    try await loop.sleep(for: .seconds(24 * 3600))
    return fired
  }
  try expect("timers that came up", fired, is: 24)
  return "24 timers, an hour from one to the next"
}

@Sendable func toldDeadlock(_ loop: EventLoop) async throws -> String {
  do {
    try await withTestLoop { loop in try await Event(loop).wait() }
    throw Failure("it was not told")
  } catch let error as SimulationError {
    try expect("what it is", error.code, is: .deadlock)
  }
  return "with the name of the call that waits for ever"
}

@Sendable func partedNetwork(_ loop: EventLoop) async throws -> String {
  let taken = try await withSimulatedNetwork(seed: 1) { network in
    try await echoThroughPartition(network)
  }
  try expect(taken >= .seconds(60) && taken < .seconds(61), "it took \(taken)")
  return "the answer came after \(taken), when a partition of a minute was over"
}

@Sendable func sameRun(_ loop: EventLoop) async throws -> String {
  func fingerprint(_ seed: UInt64) async throws -> UInt64 {
    try await withSimulatedNetwork(seed: seed) { network in
      _ = try await echoThroughPartition(network)
      return network.fingerprint
    }
  }
  let first = try await fingerprint(7)
  let second = try await fingerprint(7)
  let other = try await fingerprint(8)
  try expect("the run of the same seed", second, is: first)
  try expect(other != first, "another seed gave the same run")
  return "and another run for another seed"
}

/// Sends a line to an echo server on another host, during a partition of a minute.
private func echoThroughPartition(_ network: SimulatedNetwork) async throws -> Duration {
  let (server, client) = (network.host("server"), network.host("client"))
  server.start { loop in
    let server = try await loop.startServer(port: 7) { reader, writer in
      for try await chunk in reader { try await writer.send(chunk) }
    }
    try await server.serveForever()
  }
  return try await client.run { loop in
    try await loop.sleep(for: .seconds(1))
    let (reader, writer) = try await loop.openConnection(host: "server", port: 7)
    let begin = loop.time
    network.partition(server, client)
    loop.callLater(.seconds(60)) { network.heal() }
    try await writer.send("hello\n")
    try expect("the answer", try await reader.readLine(), is: Array("hello\n".utf8))
    writer.close()
    return begin.duration(to: loop.time)
  }
}
