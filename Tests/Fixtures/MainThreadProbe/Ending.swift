// SPDX-License-Identifier: Apache-2.0
// Whole programs, from their first call to the process's end.
import AsyncIO
import Foundation
import Glibc

struct Failure: Error, CustomStringConvertible {
  var description: String { "there is no such thing" }
}

/// What `Swift.print` prints into a pipe stays in memory until the end.
func ending(_ kind: String) {
  switch kind {
  case "returns":
    EventLoop.main { loop in
      try await loop.sleep(for: .zero); Swift.print("the end")
    }
  case "fails":
    EventLoop.main { _ in
      Swift.print("the end"); throw Failure()
    }
  case "unhandled":
    var configuration = EventLoop.Configuration()
    configuration.terminationSignals = .unhandled
    EventLoop.main(configuration) { loop in
      print("ready")
      try await loop.sleep(for: .seconds(60))
    }
  case "answered":
    EventLoop.main { loop in
      print("ready")
      try? await loop.sleep(for: .seconds(60))
      Swift.print("said good-bye")
    }
  case "ignored":
    EventLoop.main { loop in
      print("ready")
      while true {
        do { try await loop.sleep(for: .seconds(60)) } catch {
          print("ignored")
          await withUnsafeContinuation { (_: UnsafeContinuation<Void, Never>) in }
        }
      }
    }
  default:
    EventLoop.main { loop in
      defer { Swift.print("body: cleaned up") }
      loop.createTask {
        do { try await loop.sleep(for: .seconds(60)) } catch { Swift.print("task: \(error is CancellationError)") }
      }
      print("ready")
      try await loop.sleep(for: .seconds(60))
    }
  }
}
