// SPDX-License-Identifier: Apache-2.0
import DequeModule

/// Datagrams that the kernel has not taken yet, and whether they are too many. Pure.
struct DatagramQueue {
  /// What a datagram counts for beyond its bytes: else empty ones would be free, and could pile up without end. It is
  /// the size of UDP's header.
  static let overhead = 8

  private var datagrams = Deque<OutgoingDatagram>()
  private var marks = WaterMarks()
  /// How many bytes wait, with the overhead of each datagram.
  private(set) var size = 0

  var isEmpty: Bool { datagrams.isEmpty }
  var limits: (low: Int, high: Int) { (marks.low, marks.high) }

  mutating func setLimits(high: Int?, low: Int?) { marks.set(high: high, low: low) }

  mutating func append(_ datagram: OutgoingDatagram) {
    datagrams.append(datagram)
    size += datagram.bytes.count + DatagramQueue.overhead
  }

  /// The datagrams for the next system call, which stay until they are removed: a failed call loses none.
  var front: [OutgoingDatagram] { Array(datagrams.prefix(OutgoingDatagram.batchLimit)) }

  /// Removes datagrams from the front.
  mutating func removeFirst(_ count: Int) {
    for datagram in datagrams.prefix(count) { size -= datagram.bytes.count + DatagramQueue.overhead }
    datagrams.removeFirst(count)
  }

  /// Drops everything, without a word to the protocol: there is no more to send for.
  mutating func discard() {
    datagrams.removeAll()
    size = 0
    marks.silence()
  }

  /// What the protocol has to be told as things stand now; see ``WaterMarks/nextSignal(count:)``.
  mutating func nextSignal() -> WaterMarks.Signal { marks.nextSignal(count: size) }

  mutating func didTell(_ signal: WaterMarks.Signal) { marks.didTell(signal) }
}
