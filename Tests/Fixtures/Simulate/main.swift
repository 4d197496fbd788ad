// SPDX-License-Identifier: Apache-2.0
// Runs the library's own simulation with so many seeds: simulate 1000000. ASYNCIO_SEED=17 simulate runs one.
// "simulate fingerprint 100" prints a number of all that happens in so many runs, which is the same for every build.
import AsyncIO
import AsyncIOTesting
import SimulationFixtures

var arguments = CommandLine.arguments.dropFirst()
let printsFingerprint = arguments.first == "fingerprint"
if printsFingerprint { arguments.removeFirst() }
let count = arguments.first.flatMap(UInt64.init) ?? 1000

/// So many at a time, to say how far it has come.
let share: UInt64 = 100_000

EventLoop.main { _ in
  let begin = ContinuousClock.now
  var fingerprint: UInt64 = 0
  for start in stride(from: 0, to: count, by: UInt64.Stride(share)) {
    let end = min(start + share, count)
    fingerprint &+= try await explore(seeds: start..<end) { network in
      try await LibrarySimulation(network, withTLS: !printsFingerprint).run()
    }
    if !printsFingerprint { print("\(end) seeds in \(ContinuousClock.now - begin), and nothing found") }
  }
  if printsFingerprint { print(String(fingerprint, radix: 16)) }
}
