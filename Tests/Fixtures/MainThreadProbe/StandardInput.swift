// SPDX-License-Identifier: Apache-2.0
import AsyncIO
import Glibc

private final class Paused: ReadPipeProtocol {
  func connectionMade(_ transport: ReadPipeTransport) { transport.pauseReading() }
}

/// Has the loop read the standard input, and then leaves without a clean-up, or waits to be killed.
func standardInput(_ how: String) throws {
  try EventLoop.run { loop in
    _ = try await loop.connectReadPipe(Paused.init, .standardInput)
    print("non-blocking: \(fcntl(0, F_GETFL) & O_NONBLOCK != 0)")
    if how == "exit" { exit(0) }
    try await loop.sleep(for: .seconds(60))
  }
}
