// SPDX-License-Identifier: Apache-2.0
import Logging
import SystemPackage

/// A transport that sends a stream of bytes: a connection, or the writing end of a pipe.
public class WritingTransport<Receiver>: ProtocolTransport<Receiver>, WriteTransport {
  /// What the kernel has not taken yet.
  final var buffer = WriteBuffer()
  /// What was written after the end.
  private final var droppedWrites = DroppedWrites()

  override var hasUnsentBytes: Bool { !buffer.isEmpty }
  override var hasBytesForKernel: Bool { !buffer.isEmpty }
  override final var unsentSize: Int { buffer.size }
  override func discardUnsent() { buffer.removeAll() }

  public func write(_ bytes: Span<UInt8>) {
    if admitsWrite("write"), bytes.count > 0 { send(bytes) }
  }

  /// Sends several chunks, by one system call if the kernel takes them. asyncio's `writelines`.
  public func writeLines(_ lines: [[UInt8]]) {
    if admitsWrite("writeLines"), lines.contains(where: { !$0.isEmpty }) { send(lines) }
  }

  /// Whether ``writeEOF()`` is of use. asyncio's `can_write_eof`.
  public var canWriteEOF: Bool {
    check("canWriteEOF")
    return true
  }

  /// Closes it once everything is written: a pipe has no other side to keep open. asyncio's `write_eof`.
  public func writeEOF() {
    check("writeEOF")
    close()
  }

  /// Whether bytes that are written now are sent.
  func accepts(_ method: StaticString) -> Bool { state.acceptsWrites }

  /// Whether bytes that are written now are sent. After the end they are dropped.
  @inline(__always)
  final func admitsWrite(_ method: StaticString) -> Bool {
    check(method)
    if accepts(method) { return true }
    noteDropped()
    return false
  }

  private final func noteDropped() {
    if droppedWrites.isWorthAWarning() {
      EventLoop.log.warning("what is written to a closed \(Self.titles.noun) (\(name)) is dropped")
    }
  }

  /// A send has failed for good.
  func sendingFailed(_ error: IOError) { end(error) }

  // MARK: To the kernel

  @inline(__always)
  final func send(_ bytes: Span<UInt8>) {
    var sent = 0
    // What is buffered goes first.
    if buffer.isEmpty {
      do throws(Errno) {
        sent =
          kind == .socket
          ? try loop.kernel.send(descriptor, bytes) : try loop.kernel.write(descriptor, bytes)
      } catch {
        if failed(error) { return settle() }
      }
    }
    // Nothing has changed.
    if sent == bytes.count { return }
    buffer.append(bytes.extracting(sent...))
    settle()
    tellFlow()
  }

  final func send(_ lines: [[UInt8]]) {
    var sent = 0
    if buffer.isEmpty {
      do throws(Errno) { sent = try gather(lines, skipping: 0) } catch {
        if failed(error) { return settle() }
      }
    }
    buffer.append(contentsOf: lines, skipping: sent)
    settle()
    tellFlow()
  }

  /// Sends what is buffered, as far as the kernel takes it.
  final func flush() {
    do throws(Errno) { buffer.consume(try gather(buffer.front, skipping: buffer.firstOffset)) } catch {
      _ = failed(error)
      return
    }
    tellFlow()
    // The protocol may have written, or closed, in answer to that.
    lastByteWasSent()
  }

  private final func gather(_ chunks: [[UInt8]], skipping: Int) throws(Errno) -> Int {
    kind == .socket
      ? try loop.kernel.send(descriptor, gathering: chunks, skipping: skipping)
      : try loop.kernel.write(descriptor, gathering: chunks, skipping: skipping)
  }

  /// Whether a call that failed is the end of all sending.
  private final func failed(_ error: Errno) -> Bool {
    if error == .wouldBlock { return false }
    sendingFailed(IOError(error, endpoint.calls.send.description, name))
    return true
  }
}

extension SendingTransport where Self: DescriptorTransport {
  public func abort(_ error: (any Error)?) {
    check("abort")
    end(error)
    settle()
  }

  public var writeBufferSize: Int {
    check("writeBufferSize")
    return unsentSize
  }

  public var writeBufferLimits: (low: Int, high: Int) {
    check("writeBufferLimits")
    return (marks.low, marks.high)
  }

  public func setWriteBufferLimits(high: Int? = nil, low: Int? = nil) {
    check("setWriteBufferLimits")
    marks.set(high: high, low: low)
    tellFlow()
  }
}
