// SPDX-License-Identifier: Apache-2.0
import AsyncIO
import AsyncIOTesting

/// Two programs that meet by way of a flag and a wake-up, of which the flag is looked at too early.
func raceWithLostWakeUp(_ network: SimulatedNetwork) async throws {
  let (server, client) = (network.host("server"), network.host("client"))
  var isThere = false
  var wakeUp: (() -> Void)?
  try await server.run { loop in
    let server = try await loop.startServer(port: 7) { reader, _ in
      _ = try await reader.readExactly(1)
      isThere = true
      wakeUp?()
    }
    loop.createTask { try await server.serveForever() }
  }
  try await client.run { loop in
    let (_, writer) = try await loop.openConnection(host: "server", port: 7)
    defer { writer.close() }
    try await writer.send("x")
    if !isThere {
      // The mistake: what is sent may arrive while this sleeps.
      try await loop.sleep(for: .microseconds(100))
      let future = Future<Void>(loop)
      wakeUp = { try? future.setResult(()) }
      try await future.value
    }
  }
}
