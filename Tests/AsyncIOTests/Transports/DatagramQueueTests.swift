// SPDX-License-Identifier: Apache-2.0
import Testing

@testable import AsyncIO

@Suite("Datagram queue")
struct DatagramQueueTests {
  private func datagram(_ size: Int) -> OutgoingDatagram { OutgoingDatagram(pattern(size), to: nil) }

  @Test("datagrams stay in order, and in front until they are removed")
  func order() {
    var queue = DatagramQueue()
    var marks = MarkedFlow()
    for size in 1...3 { queue.append(datagram(size)) }
    #expect(marks.told(queue.size) == .none)
    #expect(queue.front.map(\.bytes.count) == [1, 2, 3])
    #expect(queue.front.map(\.bytes.count) == [1, 2, 3])
    queue.removeFirst(2)
    #expect(marks.told(queue.size) == .none)
    #expect(queue.front.map(\.bytes.count) == [3])
    #expect(queue.size == 3 + DatagramQueue.overhead)
    queue.removeFirst(1)
    #expect(queue.isEmpty && queue.size == 0)
  }

  @Test("One system call is handed a bounded number")
  func batch() {
    var queue = DatagramQueue()
    for size in 0..<100 { queue.append(datagram(size)) }
    #expect(queue.front.count == OutgoingDatagram.batchLimit)
    #expect(queue.front.first?.bytes == [])
  }

  @Test("pause strictly above high, resume at low, in turns")
  func marks() {
    var queue = DatagramQueue()
    var marks = MarkedFlow()
    marks.set(high: 20, low: 10)
    #expect(marks.told(queue.size) == .none)
    queue.append(datagram(2))
    #expect(marks.told(queue.size) == .none)
    queue.append(datagram(2))
    #expect(marks.told(queue.size) == .none)
    queue.append(datagram(0))
    #expect(marks.told(queue.size) == .pause)
    queue.append(datagram(0))
    #expect(marks.told(queue.size) == .none)
    queue.removeFirst(2)
    #expect(marks.told(queue.size) == .none)
    queue.removeFirst(1)
    #expect(marks.told(queue.size) == .resume)
    queue.removeFirst(1)
    #expect(marks.told(queue.size) == .none)
  }

  @Test("limits below the present size pause at once, and above it resume")
  func limits() {
    var queue = DatagramQueue()
    var marks = MarkedFlow()
    queue.append(datagram(92))
    marks.set(high: 99, low: nil)
    #expect(marks.told(queue.size) == .pause)
    #expect(marks.low == 24 && marks.high == 99)
    marks.set(high: nil, low: 100)
    #expect(marks.told(queue.size) == .resume)
    #expect(marks.low == 100 && marks.high == 400)
    marks.set(high: nil, low: nil)
    #expect(marks.told(queue.size) == .none)
    #expect(marks.low == 16 * 1024 && marks.high == 64 * 1024)
  }

  @Test("what is discarded is gone, and nobody is told")
  func discard() {
    var queue = DatagramQueue()
    queue.append(datagram(100_000))
    queue.removeAll()
    #expect(queue.isEmpty && queue.size == 0)
  }
}
