// SPDX-License-Identifier: Apache-2.0
import Testing

@testable import AsyncIO

@Suite("Datagram queue")
struct DatagramQueueTests {
  private func datagram(_ size: Int) -> OutgoingDatagram { OutgoingDatagram(pattern(size), to: nil) }

  @Test("datagrams stay in order, and in front until they are removed")
  func order() {
    var queue = DatagramQueue()
    for size in 1...3 { #expect(queue.append(datagram(size)) == .none) }
    #expect(queue.front.map(\.bytes.count) == [1, 2, 3])
    #expect(queue.front.map(\.bytes.count) == [1, 2, 3])
    #expect(queue.removeFirst(2) == .none)
    #expect(queue.front.map(\.bytes.count) == [3])
    #expect(queue.size == 3 + DatagramQueue.overhead)
    _ = queue.removeFirst(1)
    #expect(queue.isEmpty && queue.size == 0)
  }

  @Test("One system call is handed a bounded number")
  func batch() {
    var queue = DatagramQueue()
    for size in 0..<100 { _ = queue.append(datagram(size)) }
    #expect(queue.front.count == OutgoingDatagram.batchLimit)
    #expect(queue.front.first?.bytes == [])
  }

  @Test("pause strictly above high, resume at low, in turns")
  func marks() {
    var queue = DatagramQueue()
    #expect(queue.setLimits(high: 20, low: 10) == .none)
    #expect(queue.append(datagram(2)) == .none)
    #expect(queue.append(datagram(2)) == .none)
    #expect(queue.append(datagram(0)) == .pause)
    #expect(queue.append(datagram(0)) == .none)
    #expect(queue.removeFirst(2) == .none)
    #expect(queue.removeFirst(1) == .resume)
    #expect(queue.removeFirst(1) == .none)
  }

  @Test("limits below the present size pause at once, and above it resume")
  func limits() {
    var queue = DatagramQueue()
    _ = queue.append(datagram(92))
    #expect(queue.setLimits(high: 99, low: nil) == .pause)
    #expect(queue.limits == (24, 99))
    #expect(queue.setLimits(high: nil, low: 100) == .resume)
    #expect(queue.limits == (100, 400))
    #expect(queue.setLimits(high: nil, low: nil) == .none)
    #expect(queue.limits == (16 * 1024, 64 * 1024))
  }

  @Test("what is discarded is gone, and nobody is told")
  func discard() {
    var queue = DatagramQueue()
    _ = queue.append(datagram(100_000))
    queue.discard()
    #expect(queue.isEmpty && queue.size == 0)
  }
}
