// SPDX-License-Identifier: Apache-2.0
// Schedules a callback that greets and stops the loop.
import AsyncIO

func helloWorld(_ loop: EventLoop) {
  print("Hello World")
  loop.stop()
}

let loop = try EventLoop()
loop.callSoon { helloWorld(loop) }
try loop.runForever()
loop.close()
