// SPDX-License-Identifier: Apache-2.0
import SystemPackage

/// A transport that sends a stream of bytes: a connection, or the writing end of a pipe.
public class WritingTransport<Receiver>: ProtocolTransport<Receiver>, WriteTransport {
  /// What the kernel has not taken yet; nil while that is nothing, as it is of most transports most of the time.
  final var backlog: Backlog? { rarities?.backlog }

  override var unsentSize: Int { backlog?.bytes.count ?? 0 }
  override func discardUnsent() { rarities?.backlog = nil }

  public func write(_ bytes: Span<UInt8>) {
    if admitsWrite("write"), bytes.count > 0 { send(bytes) }
  }

  public func writeLines(_ lines: [[UInt8]]) {
    if admitsWrite("writeLines"), lines.contains(where: { !$0.isEmpty }) { send(lines) }
  }

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
    noteDropped("written to")
    return false
  }

  /// A send has failed for good.
  func sendingFailed(_ error: IOError) { end(error) }

  // MARK: What waits

  final func keep(_ bytes: Span<UInt8>) {
    if bytes.count > 0 { makeBacklog().bytes.append(bytes) }
  }

  /// Keeps lines but for the first `skipping` bytes.
  final func keep(_ lines: [[UInt8]], skipping: Int = 0) {
    makeBacklog().bytes.append(contentsOf: lines, skipping: skipping)
    dropKept(0)
  }

  private final func makeBacklog() -> Backlog {
    let kept = backlog ?? Backlog()
    makeRarities().backlog = kept
    return kept
  }

  /// Drops so many bytes from the front.
  final func dropKept(_ count: Int) {
    backlog?.bytes.consume(count)
    if backlog?.bytes.isEmpty == true { rarities?.backlog = nil }
  }

  // MARK: To the kernel

  @inline(__always)
  final func send(_ bytes: Span<UInt8>) {
    var sent = 0
    // What is buffered goes first.
    if backlog == nil {
      do throws(Errno) { sent = try own.send(bytes) } catch {
        if failed(error) { return settle() }
      }
    }
    // Else nothing has changed.
    if sent < bytes.count { sendLater(bytes.extracting(sent...)) }
  }

  @inline(never)
  private final func sendLater(_ bytes: Span<UInt8>) {
    keep(bytes)
    settle()
    tellFlow()
  }

  final func send(_ lines: [[UInt8]]) {
    var sent = 0
    if backlog == nil {
      do throws(Errno) { sent = try own.send(gathering: lines, skipping: 0) } catch {
        if failed(error) { return settle() }
      }
    }
    keep(lines, skipping: sent)
    settle()
    tellFlow()
  }

  override func flush() {
    guard let backlog else { return }
    do throws(Errno) {
      dropKept(try own.send(gathering: backlog.bytes.front, skipping: backlog.bytes.firstOffset))
    } catch {
      _ = failed(error)
      return
    }
    tellFlow()
    // The protocol may have written, or closed, in answer to that.
    lastByteWasSent()
  }

  /// Whether a call that failed is the end of all sending.
  @inline(never)
  private final func failed(_ error: Errno) -> Bool {
    if error == .wouldBlock { return false }
    sendingFailed(sendError(error))
    return true
  }

  /// The error of a send.
  final func sendError(_ code: Errno) -> IOError { IOError(code, own.calls.send, name) }
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
    makeRarities().marks = WaterMarks(high: high, low: low)
    tellFlow()
  }
}
