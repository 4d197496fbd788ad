// SPDX-License-Identifier: Apache-2.0
// Runs the library's own simulation with so many seeds: simulate 1000000. ASYNCIO_SEED=17 simulate runs one.
// "simulate 1000 5000" begins with seed 5000.
// "simulate fingerprint 100" prints a number of all that happens in so many runs, which is the same for every build.
import AsyncIO
import AsyncIOTesting
import Glibc
import SimulationFixtures

var arguments = CommandLine.arguments.dropFirst()
let printsFingerprint = arguments.first == "fingerprint"
if printsFingerprint { arguments.removeFirst() }
let numbers = arguments.compactMap { UInt64($0) }
let count = numbers.first ?? 1000
let first = numbers.dropFirst().first ?? 0

/// So many seeds in a process. The tasks of a host that has crashed are never run again, and so what they hold stays in memory
/// until the process ends.
let share: UInt64 = 10_000

EventLoop.main { loop in
  let begin = ContinuousClock.now
  guard count > share, !printsFingerprint else {
    let fingerprint = try await explore(seeds: first..<first + count) { network in
      try await LibrarySimulation(network, withTLS: !printsFingerprint).run()
    }
    print(
      printsFingerprint
        ? String(fingerprint, radix: 16) : "\(count) seeds in \(ContinuousClock.now - begin), and nothing found")
    return
  }
  for done in stride(from: 0, to: count, by: UInt64.Stride(share)) {
    let size = min(share, count - done)
    let child = try await loop.createSubprocessExec(
      "/proc/self/exe", ["\(size)", "\(first + done)"], stdout: .null)
    let status = try await child.wait()
    // The child has told what it has found.
    if status != 0 { exit(status < 0 ? 1 : status) }
    print("\(done + size) of \(count) seeds in \(ContinuousClock.now - begin), and nothing found")
  }
}
