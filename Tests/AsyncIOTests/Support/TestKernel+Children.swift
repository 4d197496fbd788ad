// SPDX-License-Identifier: Apache-2.0
import Glibc
import SystemPackage
import Testing

@testable import AsyncIO

/// Children, with failures injected and every one accounted for.
extension TestKernel {
  func spawn(_ request: ChildRequest, sharingMemory: Bool) throws(SpawnError) -> Child {
    do throws(Errno) { try enter(sharingMemory ? .spawn : .spawnCopying) } catch { throw SpawnError(error, .clone) }
    var child = try real.spawn(request, sharingMemory: sharingMemory)
    if withholdsPidfds.current, let pidfd = child.pidfd {
      try? pidfd.close()
      child.pidfd = nil
    }
    children.withLock { _ = $0.insert(child.pid) }
    if let pidfd = child.pidfd { made(pidfd, by: .spawn, blocks: true) }
    return child
  }

  func reap(_ child: Child) throws(Errno) -> Int32? {
    try enter(.reap)
    let code = try real.reap(child)
    if code != nil { children.withLock { _ = $0.remove(child.pid) } }
    return code
  }

  func waitForEnd(of child: Child) throws(Errno) { try real.waitForEnd(of: child) }

  func signal(_ child: Child, _ signal: AsyncIO.Signal) throws(Errno) {
    try enter(.signalChild)
    try real.signal(child, signal)
  }

  func makePipe() throws(Errno) -> (reading: FileDescriptor, writing: FileDescriptor) {
    try enter(.makePipe)
    let ends = try real.makePipe()
    for end in [ends.reading, ends.writing] { made(end, by: .makePipe, blocks: true) }
    return ends
  }

  func openNullDevice() throws(Errno) -> FileDescriptor {
    try enter(.openNullDevice)
    let device = try real.openNullDevice()
    made(device, by: .openNullDevice, blocks: true)
    return device
  }

  func makeTerminal(_ size: TerminalSize) throws(Errno) -> (master: FileDescriptor, terminal: FileDescriptor) {
    try enter(.makeTerminal)
    let ends = try real.makeTerminal(size)
    made(ends.master, by: .makeTerminal)
    made(ends.terminal, by: .makeTerminal, blocks: true)
    return ends
  }

  func resizeTerminal(_ descriptor: FileDescriptor, to size: TerminalSize) throws(Errno) {
    try enter(.resizeTerminal)
    try real.resizeTerminal(descriptor, to: size)
  }

  func duplicate(_ descriptor: FileDescriptor) throws(Errno) -> FileDescriptor {
    try enter(.duplicate)
    let copy = try real.duplicate(descriptor)
    made(copy, by: .duplicate, blocks: true)
    return copy
  }

  /// Blocks until every child that was started is reaped, which is up to threads after a loop's end; then nobody may be
  /// left, not even a zombie.
  func expectNoChildren(sourceLocation: SourceLocation = #_sourceLocation) {
    let deadline = real.monotonicNanoseconds() + 20_000_000_000
    while !children.current.isEmpty, real.monotonicNanoseconds() < deadline { sched_yield() }
    #expect(children.current == [], "children were left", sourceLocation: sourceLocation)
  }
}

/// Runs a test as ``runLoop(sourceLocation:_:)`` does, and fails it when a child is left, be it a zombie.
func runProcessLoop<R>(
  sourceLocation: SourceLocation = #_sourceLocation, _ body: @escaping (EventLoop, TestKernel) async throws -> R
) throws -> R {
  let used = Boxed<TestKernel?>(nil)
  defer { used.value?.expectNoChildren(sourceLocation: sourceLocation) }
  return try runLoop(sourceLocation: sourceLocation) { loop, kernel in
    used.value = kernel
    return try await body(loop, kernel)
  }
}

/// Blocks until a child of ours has ended, and leaves it a zombie.
func blockUntilEnded(_ pid: Int32) throws { try LinuxKernel.shared.waitForEnd(of: Child(pid: pid, pidfd: nil)) }

func ownProcessID() -> Int32 { getpid() }
