// SPDX-License-Identifier: Apache-2.0
// Finds a mistake that shows in one run of a hundred: a flag is looked at, something else is done, and then a wake-up is awaited
// that has come meanwhile.
// Try: lost-wake-up
import AsyncIO
import AsyncIOTesting

/// Where one task waits until another one has delivered something. It has a mistake.
final class Mailbox {
  private var isFull = false
  private var waiter: Future<Void>?

  func deliver() {
    isFull = true
    try? waiter?.setResult(())
  }

  func wait(_ loop: EventLoop, before: () async throws -> Void) async throws {
    if isFull { return }
    // What is delivered while this runs wakes nobody: nobody waits yet. To look at the flag once more would mend it.
    try await before()
    let waiter = Future<Void>(loop)
    self.waiter = waiter
    try await waiter.value
  }
}

func simulate(_ network: SimulatedNetwork) async throws {
  let (sender, receiver) = (network.host("sender"), network.host("receiver"))
  let mailbox = Mailbox()
  try await receiver.run { loop in
    let server = try await loop.startServer(port: 25) { reader, _ in
      _ = try await reader.readLine()
      mailbox.deliver()
    }
    loop.createTask(name: "server") { try await server.serveForever() }
  }
  let waiting = receiver.start(name: "receiver") { loop in
    try await loop.sleep(for: .milliseconds(2))
    try await mailbox.wait(loop) { try await loop.sleep(for: .microseconds(5)) }
  }
  try await sender.run { loop in
    try await loop.sleep(for: .milliseconds(1))
    let (_, writer) = try await loop.openConnection(host: "receiver", port: 25)
    try await writer.send("a letter\n")
    writer.close()
  }
  try await waiting.value
}

do {
  try await explore(seeds: 0..<10_000) { network in try await simulate(network) }
  print("not found")
} catch let error as ExplorationError {
  print("found, after \(error.seed + 1) seeds:\n\(error)")
}
