// SPDX-License-Identifier: Apache-2.0
import SystemPackage

/// The socket below an engine. What the kernel has to say to it is kept for the transport, which asks after each call.
///
/// The engine has its own memory on both sides, into which and out of which the kernel copies: nothing else does, but
/// where several records go out by one system call.
final class SocketWire: TLSWire {
  private let kernel: any Kernel
  private let descriptor: FileDescriptor
  /// Bytes from the peer that somebody else has received. They go before what the socket has.
  private(set) var early: [UInt8] = []
  /// Whether the latest receive has found nothing.
  private var isKernelEmpty = false
  /// How many bytes may be received yet for this report of the poller.
  private var allowance = 0
  /// How the stream ended, behind everything that the engine has been given; nil while it goes on.
  private(set) var end: WireReport.End?
  /// Encrypted bytes, and those from before the encryption, that the kernel has not taken yet.
  var pending = WriteBuffer()
  /// Records that go out together; nil where each goes by itself.
  private var joined: [UInt8]?
  /// Why the kernel takes no more; nil while it does.
  private(set) var sendFailure: Errno?
  /// How many bytes the kernel has brought since the last report.
  private var received = 0
  /// How many bytes the kernel has taken, to tell a slow peer from a dead one.
  private(set) var sentCount = 0

  init(_ kernel: any Kernel, _ descriptor: FileDescriptor) {
    self.kernel = kernel
    self.descriptor = descriptor
  }

  func discard() {
    early = []
    pending.removeAll()
  }

  // MARK: From the peer

  /// Has the engine receive what the poller reported.
  func allowReceiving() {
    allowance = EventLoop.readLimit
    isKernelEmpty = false
  }

  /// Takes bytes that go before those that the socket has.
  func prepend(_ bytes: [UInt8]) { early = bytes + early }

  /// Goes on where another wire on the same socket stands.
  func takeOver(_ other: SocketWire) {
    prepend(other.early)
    other.early = []
    end = other.end
    pending.append(contentsOf: other.pending.takeAll())
    sendFailure = other.sendFailure
  }

  func read(into buffer: inout MutableSpan<UInt8>) -> Int {
    if !early.isEmpty { return early.moveFront(into: &buffer) }
    // A receive without room looks like the end of the stream.
    guard allowance > 0, end == nil, buffer.count > 0 else { return 0 }
    do throws(Errno) {
      let count = try kernel.receive(descriptor, into: &buffer)
      if count == 0 { end = .ofStream }
      received += count
      allowance = count < buffer.count ? 0 : allowance - count
      return count
    } catch {
      if error != .wouldBlock { end = .failure(error) }
      isKernelEmpty = true
      allowance = 0
      return 0
    }
  }

  /// What the kernel had to say during a call of the engine's.
  func takeReport() -> WireReport {
    defer { received = 0 }
    return WireReport(end: end, isKernelEmpty: isKernelEmpty, received: received)
  }

  // MARK: To the peer

  func write(_ bytes: Span<UInt8>) {
    if joined != nil {
      joined?.append(copying: bytes)
    } else {
      send(bytes)
    }
  }

  /// Has what is written wait for the end of the call.
  func beginJoining(_ memory: inout [UInt8]) {
    joined = memory
    memory = []
  }

  /// Sends what was written meanwhile.
  func endJoining(_ memory: inout [UInt8]) {
    guard var bytes = joined else { return }
    joined = nil
    send(bytes.span)
    bytes.removeAll(keepingCapacity: true)
    memory = bytes
  }

  private func send(_ bytes: Span<UInt8>) {
    guard bytes.count > 0, sendFailure == nil else { return }
    var sent = 0
    if pending.isEmpty {
      do throws(Errno) {
        sent = try kernel.send(descriptor, bytes)
        sentCount += sent
      } catch {
        if error != .wouldBlock {
          sendFailure = error
          return
        }
      }
    }
    if sent < bytes.count { pending.append(bytes.extracting(sent...)) }
  }

  /// Sends what the kernel has not taken before, as far as it does now.
  func flush() {
    guard !pending.isEmpty, sendFailure == nil else { return }
    do throws(Errno) {
      let sent = try kernel.send(descriptor, gathering: pending.front, skipping: pending.firstOffset)
      sentCount += sent
      pending.consume(sent)
    } catch {
      if error != .wouldBlock { sendFailure = error }
    }
  }
}
