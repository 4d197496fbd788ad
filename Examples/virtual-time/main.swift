// SPDX-License-Identifier: Apache-2.0
// Tests a client that tries again and again, ever more slowly: a minute and a half of its time in an instant of ours.
// Try: virtual-time
import AsyncIO
import AsyncIOTesting

/// Connects, and waits after each failure twice as long as after the one before, half a minute at the most.
func connectPatiently(_ loop: EventLoop, port: Int, report: (String) -> Void) async throws -> StreamWriter {
  var delay = Duration.seconds(1)
  while true {
    do {
      return try await loop.openConnection(host: "localhost", port: port).writer
    } catch let error as IOError {
      report("\(error.code), again in \(delay)")
      try await loop.sleep(for: delay)
      delay = min(delay * 2, .seconds(30))
    }
  }
}

let start = ContinuousClock.now
let log = try await withTestLoop { loop in
  let begin = loop.time
  var log: [String] = []
  func report(_ text: String) { log.append("\(begin.duration(to: loop.time)): \(text)") }

  // The server comes up after a minute and a bit.
  var server: Server?
  loop.callLater(.seconds(70)) {
    loop.createTask(name: "start the server") {
      server = try await loop.startServer(host: "localhost", port: 8080) { _, _ in }
      report("the server is up")
    }
  }
  let writer = try await connectPatiently(loop, port: 8080, report: report)
  report("connected")
  writer.close()
  server?.close()
  return log
}
for line in log { print(line) }
print("That took \(ContinuousClock.now - start) in earnest.")
