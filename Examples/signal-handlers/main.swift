// SPDX-License-Identifier: Apache-2.0
// Runs until SIGINT (Ctrl-C) or SIGTERM asks it to end.
import AsyncIO
import Glibc

let loop = try EventLoop()
defer { loop.close() }

for signal in [Signal.interrupt, .terminate] {
  try loop.addSignalHandler(signal) {
    print("got \(signal): exit")
    loop.stop()
  }
}

print("The loop runs until you press Ctrl-C, or send SIGINT or SIGTERM to process \(getpid()).")
fflush(nil)
try loop.runForever()
