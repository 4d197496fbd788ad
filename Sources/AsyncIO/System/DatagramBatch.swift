// SPDX-License-Identifier: Apache-2.0
import CAsyncIO
import SystemPackage

/// Where a loop's datagrams land: several by one system call, in memory that is touched only as far as they arrive.
///
/// A loop receives one batch at a time and hands its datagrams out before the next one, so that nobody can see them
/// change.
@safe package final class DatagramBatch {
  /// How many datagrams one call receives at the most: a share of a tick that leaves room for the others.
  package let capacity: Int
  /// The longest datagram that fits; of longer ones the rest is lost.
  package let datagramSize: Int
  /// From one buffer to the next. At a distance of a power of two they would compete for the same few lines of the
  /// processor's caches.
  private let stride: Int

  /// Ours from `init` to `deinit`, as what they point to: the buffers in `bytes`, and one of `addresses` each.
  private let messages: UnsafeMutablePointer<casyncio_message>
  private let vectors: UnsafeMutablePointer<iovec>
  private let addresses: UnsafeMutablePointer<sockaddr_storage>
  private let bytes: UnsafeMutablePointer<UInt8>

  /// How many datagrams the last call received.
  package private(set) var count = 0
  /// How many the next call may receive. Tests make batches short.
  package var limit: Int

  /// A batch for what comes by IP, whose longest packet it has room for.
  package static func ofPackets() -> DatagramBatch { DatagramBatch(capacity: 32, datagramSize: 64 * 1024) }

  /// A batch for what programs of one machine send each other, which only the sender's buffer limits: 208 KiB as Linux
  /// comes. All this room costs nothing until it is needed, since the system gives memory page by page as it is written
  /// to.
  package static func ofMessages() -> DatagramBatch { DatagramBatch(capacity: 16, datagramSize: 1024 * 1024) }

  package init(capacity: Int, datagramSize: Int) {
    self.capacity = capacity
    self.datagramSize = datagramSize
    stride = datagramSize + 5 * 64
    limit = capacity
    unsafe messages = .allocate(capacity: capacity)
    unsafe vectors = .allocate(capacity: capacity)
    unsafe addresses = .allocate(capacity: capacity)
    unsafe bytes = .allocate(capacity: capacity * stride)
    for index in 0..<capacity {
      let buffer = unsafe bytes + index * stride
      unsafe vectors[index] = iovec(iov_base: buffer, iov_len: datagramSize)
      var message = unsafe casyncio_message()
      unsafe message.header.msg_name = UnsafeMutableRawPointer(addresses + index)
      unsafe message.header.msg_namelen = socklen_t(MemoryLayout<sockaddr_storage>.size)
      unsafe message.header.msg_iov = vectors + index
      unsafe message.header.msg_iovlen = 1
      unsafe messages[index] = message
    }
  }

  deinit {
    unsafe messages.deallocate()
    unsafe vectors.deallocate()
    unsafe addresses.deallocate()
    unsafe bytes.deallocate()
  }

  /// Has a system call fill the batch; the answer is how many datagrams it received.
  func fill(_ call: (UnsafeMutablePointer<casyncio_message>, Int) throws(Errno) -> Int) throws(Errno) {
    // The last call wrote the lengths of the addresses over their capacities.
    for index in 0..<count {
      unsafe messages[index].header.msg_namelen = socklen_t(MemoryLayout<sockaddr_storage>.size)
    }
    count = 0
    count = try unsafe call(messages, min(limit, capacity))
  }

  /// Fills the batch from a queue of datagrams that did not come by a system call: takes as many as one call would receive.
  package func fill(from take: (Int) -> [(bytes: [UInt8], sender: SocketAddress)]) {
    let datagrams = take(min(limit, capacity))
    for (index, datagram) in datagrams.enumerated() {
      let stored = min(datagram.bytes.count, datagramSize)
      let buffer = unsafe UnsafeMutableRawPointer(bytes + index * stride)
      // The buffer has room for `datagramSize` bytes, the address's for every kind of address.
      unsafe datagram.bytes.withUnsafeBytes {
        if let source = $0.baseAddress { unsafe buffer.copyMemory(from: source, byteCount: stored) }
      }
      unsafe datagram.sender.withPlatformAddress { address, length in
        unsafe UnsafeMutableRawPointer(addresses + index).copyMemory(from: address, byteCount: Int(length))
        unsafe messages[index].header.msg_namelen = length
      }
      unsafe messages[index].length = UInt32(stored)
      unsafe messages[index].header.msg_flags = datagram.bytes.count > datagramSize ? Int32(MSG_TRUNC) : 0
    }
    count = datagrams.count
  }

  /// Who sent a datagram of the last call.
  package func sender(_ index: Int) -> SocketAddress {
    require(index < count, "the batch has no datagram \(index)")
    // A sender that is bound to nothing comes without an address.
    return unsafe SocketAddress(
      UnsafeRawBufferPointer(start: addresses + index, count: Int(messages[index].header.msg_namelen))) ?? .unnamed
  }

  /// Whether a datagram of the last call was longer than its buffer, so that its end is lost.
  package func isTruncated(_ index: Int) -> Bool {
    require(index < count, "the batch has no datagram \(index)")
    return unsafe messages[index].header.msg_flags & Int32(MSG_TRUNC) != 0
  }

  /// Lends a datagram of the last call.
  package func withBytes<R>(_ index: Int, _ body: (Span<UInt8>) throws -> R) rethrows -> R {
    require(index < count, "the batch has no datagram \(index)")
    let length = min(Int(unsafe messages[index].length), datagramSize)
    let bytes = unsafe UnsafeBufferPointer(start: bytes + index * stride, count: length)
    return try body(unsafe Span(_unsafeElements: bytes))
  }
}

/// A datagram that waits to be sent.
package struct OutgoingDatagram {
  package var bytes: [UInt8]
  /// Where it goes; nil for the peer that the socket is connected to.
  package var address: SocketAddress?

  package init(_ bytes: [UInt8], to address: SocketAddress?) {
    self.bytes = bytes
    self.address = address
  }

  /// The most that one system call is handed.
  package static let batchLimit = 64

  /// Lends the first datagrams in the form that the platform's call takes.
  static func withMessages<R>(
    _ datagrams: [OutgoingDatagram],
    _ body: (UnsafeMutableBufferPointer<casyncio_message>) throws(Errno) -> R
  ) throws(Errno) -> R {
    let count = min(datagrams.count, batchLimit)
    let messages = UnsafeMutableBufferPointer<casyncio_message>.allocate(capacity: count)
    let vectors = UnsafeMutableBufferPointer<iovec>.allocate(capacity: count)
    let addresses = UnsafeMutableBufferPointer<sockaddr_storage>.allocate(capacity: count)
    defer {
      unsafe messages.deallocate()
      unsafe vectors.deallocate()
      unsafe addresses.deallocate()
    }
    for index in 0..<count {
      var message = unsafe casyncio_message()
      // An array's bytes stay where they are while someone holds it, and `datagrams` holds each until the call is over.
      // The kernel only reads them.
      unsafe datagrams[index].bytes.withUnsafeBytes {
        unsafe vectors[index] = iovec(
          iov_base: UnsafeMutableRawPointer(mutating: $0.baseAddress), iov_len: $0.count)
      }
      unsafe message.header.msg_iov = vectors.baseAddress! + index
      unsafe message.header.msg_iovlen = 1
      if let address = datagrams[index].address {
        unsafe address.withPlatformAddress { platformAddress, length in
          let target = unsafe UnsafeMutableRawPointer(addresses.baseAddress! + index)
          unsafe target.copyMemory(from: platformAddress, byteCount: Int(length))
          unsafe message.header.msg_name = target
          unsafe message.header.msg_namelen = length
        }
      }
      unsafe messages[index] = message
    }
    return try withExtendedLifetime(datagrams) { () throws(Errno) in try unsafe body(messages) }
  }
}
