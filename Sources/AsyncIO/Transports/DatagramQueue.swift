// SPDX-License-Identifier: Apache-2.0
import DequeModule

/// Datagrams that the kernel has not taken yet. Pure.
struct DatagramQueue {
  /// What a datagram counts for beyond its bytes: else empty ones would be free, and could pile up without end. It is
  /// the size of UDP's header.
  static let overhead = 8

  private var datagrams = Deque<OutgoingDatagram>()
  /// How many bytes wait, with the overhead of each datagram.
  private(set) var size = 0

  var isEmpty: Bool { datagrams.isEmpty }

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

  mutating func removeAll() {
    datagrams.removeAll()
    size = 0
  }
}
