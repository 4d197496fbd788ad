// SPDX-License-Identifier: Apache-2.0
import SystemPackage

/// The descriptor below a pipe transport: what it is, how it is watched, and how it is let go of.
///
/// Some character devices, such as `/dev/null`, cannot be watched: they never make anybody wait. Those count as ready
/// in each iteration in which their transport wants something of them.
final class PipeEnd {
  let loop: EventLoop
  /// What is read or written: the transport's, which closes it through `close`.
  let descriptor: FileDescriptor
  /// The descriptor that we were given; ours to close too, where it is another one.
  let original: FileDescriptor
  let kind: FileKind
  /// Whether the descriptor was given to us, and its blocking mode is borrowed.
  private let restoresFlags: Bool
  /// The transport, from `claim` to `close`, as in the loop's own table.
  private var watcher: (any ReadinessWatcher)?
  private var isClosed = false
  /// Whether it cannot be watched.
  private var isAlwaysReady = false
  /// What is wanted of a descriptor that cannot be watched.
  private var wanted: Interest = []
  private var isQueued = false

  init(
    _ loop: EventLoop, _ descriptor: FileDescriptor, kind: FileKind, restoresFlags: Bool,
    original: FileDescriptor? = nil
  ) {
    self.loop = loop
    self.descriptor = descriptor
    self.original = original ?? descriptor
    self.kind = kind
    self.restoresFlags = restoresFlags
  }

  /// Makes the transport the descriptor's owner.
  func claim(for watcher: any ReadinessWatcher) {
    self.watcher = watcher
    loop.claim(descriptor, for: watcher)
    if original != descriptor { loop.claim(original, for: watcher) }
  }

  /// Whether the loop still knows the transport as the descriptor's owner.
  private var isClaimed: Bool {
    guard !loop.isClosed, let watcher else { return false }
    return loop.readiness.watcher(of: descriptor) === watcher
  }

  func setInterest(_ interest: Interest) throws(Errno) {
    guard isClaimed else { return }
    if isAlwaysReady {
      want(interest)
      return
    }
    do throws(Errno) {
      try loop.setInterest(interest, for: descriptor)
    } catch {
      guard error == .notPermitted, kind == .characterDevice else { throw error }
      isAlwaysReady = true
      want(interest)
    }
  }

  private func want(_ interest: Interest) {
    wanted = interest.subtracting(.hangUp)
    guard !isQueued, !wanted.isEmpty else { return }
    isQueued = true
    loop.callSoon { [self] in
      isQueued = false
      guard !wanted.isEmpty, let watcher else { return }
      watcher.descriptorIsReady(wanted)
      want(wanted)
    }
  }

  /// Closes the descriptor, in the mode in which it came. Further calls do nothing.
  func close() {
    guard !isClosed else { return }
    isClosed = true
    wanted = []
    if isClaimed {
      loop.release(descriptor)
      if original != descriptor { loop.release(original) }
    }
    watcher = nil
    if restoresFlags { BorrowedBlockingMode.giveBack(descriptor, loop.kernel) }
    // The numbers are free whatever the answer is, and there is nobody to tell.
    try? loop.kernel.close(descriptor)
    if original != descriptor { try? loop.kernel.close(original) }
  }

  var name: String { kind == .pipe ? "pipe \(original.rawValue)" : "descriptor \(original.rawValue)" }

  // MARK: Calls

  /// What has arrived. A socket is told not to wait: its mode may be another's business.
  func read(into buffer: inout MutableSpan<UInt8>) throws(Errno) -> Int {
    kind == .socket
      ? try loop.kernel.receive(descriptor, into: &buffer) : try loop.kernel.read(descriptor, into: &buffer)
  }

  func write(_ bytes: Span<UInt8>) throws(Errno) -> Int {
    kind == .socket ? try loop.kernel.send(descriptor, bytes) : try loop.kernel.write(descriptor, bytes)
  }

  func write(_ chunks: [[UInt8]], skipping: Int) throws(Errno) -> Int {
    kind == .socket
      ? try loop.kernel.send(descriptor, gathering: chunks, skipping: skipping)
      : try loop.kernel.write(descriptor, gathering: chunks, skipping: skipping)
  }
}
