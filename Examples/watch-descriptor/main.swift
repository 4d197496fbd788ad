// SPDX-License-Identifier: Apache-2.0
// Waits until a descriptor can be read from, and stops the loop.
import AsyncIO

let (reading, writing) = try Socket.pair()
let loop = try EventLoop()

try loop.addReader(reading.descriptor) {
  print("Received:", String(decoding: try reading.receive(maxBytes: 100), as: UTF8.self))
  try loop.removeReader(reading.descriptor)
  loop.stop()
}
// The arrival of data, simulated.
loop.callSoon { try writing.send(Array("abc".utf8)) }

try loop.runForever()
loop.close()
