// SPDX-License-Identifier: Apache-2.0
import Testing

@testable import AsyncIO

@Suite("Datagram queue")
struct DatagramQueueTests {
  private func datagram(_ size: Int) -> OutgoingDatagram { OutgoingDatagram(pattern(size), to: nil) }

  @Test("datagrams stay in order, and in front until they are removed")
  func order() {
    var queue = DatagramQueue()
    for size in 1...3 { queue.append(datagram(size)) }
    #expect(queue.told() == .none)
    #expect(queue.front.map(\.bytes.count) == [1, 2, 3])
    #expect(queue.front.map(\.bytes.count) == [1, 2, 3])
    queue.removeFirst(2)
    #expect(queue.told() == .none)
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
    queue.setLimits(high: 20, low: 10)
    #expect(queue.told() == .none)
    queue.append(datagram(2))
    #expect(queue.told() == .none)
    queue.append(datagram(2))
    #expect(queue.told() == .none)
    queue.append(datagram(0))
    #expect(queue.told() == .pause)
    queue.append(datagram(0))
    #expect(queue.told() == .none)
    queue.removeFirst(2)
    #expect(queue.told() == .none)
    queue.removeFirst(1)
    #expect(queue.told() == .resume)
    queue.removeFirst(1)
    #expect(queue.told() == .none)
  }

  @Test("limits below the present size pause at once, and above it resume")
  func limits() {
    var queue = DatagramQueue()
    queue.append(datagram(92))
    queue.setLimits(high: 99, low: nil)
    #expect(queue.told() == .pause)
    #expect(queue.limits == (24, 99))
    queue.setLimits(high: nil, low: 100)
    #expect(queue.told() == .resume)
    #expect(queue.limits == (100, 400))
    queue.setLimits(high: nil, low: nil)
    #expect(queue.told() == .none)
    #expect(queue.limits == (16 * 1024, 64 * 1024))
  }

  @Test("what is discarded is gone, and nobody is told")
  func discard() {
    var queue = DatagramQueue()
    queue.append(datagram(100_000))
    queue.discard()
    #expect(queue.isEmpty && queue.size == 0)
  }
}
