// SPDX-License-Identifier: Apache-2.0
// Tests a chat server on a network that parts and heals: whatever happens, all who listen see the same messages in the same order.
// Try: chat-under-partitions 100, or ASYNCIO_SEED=7 chat-under-partitions
import AsyncIO
import AsyncIOTesting

/// Passes every line on to all who are there, its sender too.
final class ChatServer {
  /// In the order in which they came: that of a dictionary would be another one in each run.
  private var writers: [StreamWriter] = []

  func serve(_ reader: StreamReader, _ writer: StreamWriter) async throws {
    writers.append(writer)
    defer { writers.removeAll { $0 === writer } }
    for try await line in reader.lines {
      // Not awaited: one who is slow, or cut off, must not hold up the others.
      for other in writers { other.write(line + "\n") }
    }
  }
}

/// One who says something now and then, and notes what is said until all is.
func chat(_ loop: EventLoop, _ name: String, messages: Int, total: Int) async throws -> [String] {
  let (reader, writer) = try await loop.openConnection(host: "server", port: 6667)
  defer { writer.close() }
  let speaking = loop.createTask(name: "\(name) speaks") {
    for number in 1...messages {
      try await loop.sleep(for: .seconds(1))
      try await writer.send("\(name) says \(number)\n")
    }
  }
  var seen: [String] = []
  for try await line in reader.lines {
    seen.append(line)
    if seen.count == total { break }
  }
  try await speaking.value
  return seen
}

struct Disagreement: Error, CustomStringConvertible {
  let description: String
}

func simulate(_ network: SimulatedNetwork) async throws {
  let server = network.host("server")
  try await server.run { loop in
    let chat = ChatServer()
    let server = try await loop.startServer(port: 6667) { try await chat.serve($0, $1) }
    loop.createTask(name: "server") { try await server.serveForever() }
  }
  let names = ["ann", "bob", "cem"]
  let clients = names.map { network.host($0) }
  let talks = zip(names, clients).map { name, host in
    host.start { loop in try await chat(loop, name, messages: 5, total: 15) }
  }
  // Everybody is there before anybody is cut off.
  try await network.loop.sleep(for: .milliseconds(500))
  for _ in 0..<4 {
    let host = clients[Int(network.generator.next() % 3)]
    network.partition(server, host)
    try await network.loop.sleep(for: .milliseconds(Int(network.generator.next() % 3000)))
    network.heal()
  }
  let first = try await talks[0].value
  for talk in talks {
    let seen = try await talk.value
    if seen != first { throw Disagreement(description: "one has seen \(first), another one \(seen)") }
  }
}

let count = CommandLine.arguments.dropFirst().first.flatMap(UInt64.init) ?? 100
let fingerprint = try await explore(seeds: 0..<count) { network in try await simulate(network) }
print("\(count) conversations, each with partitions of its own: all who listen have seen the same.")
print("The fingerprint of all this, today and tomorrow: \(String(fingerprint, radix: 16))")
