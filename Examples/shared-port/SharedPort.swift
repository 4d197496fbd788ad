// SPDX-License-Identifier: Apache-2.0
// The same echo server on several loops, one a thread. They share a port and nothing else: the kernel hands each new
// connection to one of them. Ctrl-C ends it, and tells how many each has served.
//
//     shared-port [LOOPS] [PORT]
import AsyncIO
import Foundation
import Synchronization

@main
struct SharedPort {
  static func main() throws {
    let arguments = CommandLine.arguments.dropFirst().compactMap { Int($0) }
    let loops = arguments.first ?? ProcessInfo.processInfo.activeProcessorCount
    var others: [LoopThread] = []
    let served = try serve(1, port: arguments.dropFirst().first ?? 8888) { _, port in
      // The first loop may have been given any free port; the others take the same.
      others = (1..<max(1, loops)).map { LoopThread($0 + 1, port: port) }
    }
    report(1, served)
    for other in others { other.end() }
  }
}

/// Serves on a loop of the calling thread until that is stopped or interrupted.
///
/// - Returns: how many connections it served.
func serve(_ number: Int, port: Int, whenListening: @escaping (RemoteLoop, Int) -> Void) throws -> Int {
  // Not shared either: each loop counts for itself.
  var served = 0
  var configuration = EventLoop.Configuration()
  // There is more to do when the first loop has ended.
  configuration.terminationSignals = .throwError
  do {
    try EventLoop.run(configuration) { loop in
      let server = try await loop.startServer(host: "127.0.0.1", port: port, reusePort: true) { reader, writer in
        served += 1
        for try await chunk in reader { try await writer.send(chunk) }
      }
      print("loop \(number) listens on 127.0.0.1:\(server.port)")
      fflush(nil)
      whenListening(loop.remote, server.port)
      try await server.serveForever()
    }
  } catch EventLoopError.interrupted {
  } catch EventLoopError.stoppedBeforeComplete {
  }
  return served
}

func report(_ number: Int, _ served: Int) { print("loop \(number) served \(served) connections") }

/// A loop on a thread of its own.
final class LoopThread: Sendable {
  private let number: Int
  private let remote = Mutex<RemoteLoop?>(nil)
  private let hasBegun = DispatchSemaphore(value: 0)
  private let hasEnded = DispatchSemaphore(value: 0)

  /// Returns when the loop listens.
  init(_ number: Int, port: Int) {
    self.number = number
    Thread { [self] in run(port) }.start()
    hasBegun.wait()
  }

  private func run(_ port: Int) {
    do {
      let served = try serve(number, port: port) { [self] remote, _ in
        self.remote.withLock { $0 = remote }
        hasBegun.signal()
      }
      report(number, served)
    } catch {
      print("loop \(number): \(error)")
    }
    hasBegun.signal()
    hasEnded.signal()
  }

  /// Stops the loop, and waits for its thread.
  func end() {
    try? remote.withLock { $0 }?.stop()
    hasEnded.wait()
  }
}
