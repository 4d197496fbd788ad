// SPDX-License-Identifier: Apache-2.0
// Prints the date every second for five seconds, by a callback that schedules itself again.
import AsyncIO
import Foundation

func displayDate(until end: EventLoop.Clock.Instant, _ loop: EventLoop) {
  print(Date.now)
  fflush(nil)
  if loop.time.advanced(by: .seconds(1)) < end {
    loop.callLater(.seconds(1)) { displayDate(until: end, loop) }
  } else {
    loop.stop()
  }
}

let loop = try EventLoop()
let end = loop.time.advanced(by: .seconds(5))
loop.callSoon { displayDate(until: end, loop) }
try loop.runForever()
loop.close()
