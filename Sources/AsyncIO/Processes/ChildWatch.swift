// SPDX-License-Identifier: Apache-2.0
import Logging
import SystemPackage

/// Waits for a child's end, by its pidfd in the loop's own poller, or by a thread where there is none.
///
/// The child's number stays its own until it is reaped here, so that no signal of ours reaches a stranger.
final class ChildWatch: ReadinessWatcher {
  private let loop: EventLoop
  /// Its pidfd is ours to close, once it is reaped.
  private var child: Child
  /// The exit status, or minus the signal; nil while it has not been reaped.
  private(set) var returnCode: Int32?
  /// Called once, by `callSoon`.
  private var onExit: (() -> Void)?
  /// Takes back what is to happen when the loop closes; set where a thread waits.
  private var forgetCloseHook: (() -> Void)?
  /// Whether the loop is closed, and the child was left to the reaper.
  private var isAbandoned = false
  /// Whether the child runs on when the loop closes, rather than being killed.
  var outlivesLoop = false

  init(_ loop: EventLoop, _ child: Child) {
    self.loop = loop
    self.child = child
  }

  var pid: Int32 { child.pid }

  func begin(_ onExit: @escaping () -> Void) throws(IOError) {
    self.onExit = onExit
    if let pidfd = child.pidfd {
      loop.claim(pidfd, for: self)
      do throws(Errno) {
        try loop.setInterest(.read, for: pidfd)
        return
      } catch {
        closePidfd()
      }
    }
    forgetCloseHook = loop.onClose { [self] in loopWasClosed() }
    try waitByThread()
  }

  private func waitByThread() throws(IOError) {
    let (child, kernel, remote, own) = (child, loop.kernel, loop.remote, LoopBound(self))
    do throws(IOError) {
      // After the loop's end, the reaper does the rest.
      try ChildReaper.watch(child, kernel) { _ = try? remote.callSoonThreadsafe { _ in own.value.reapIfEnded() } }
    } catch {
      abandon()
      forgetCloseHook?()
      forgetCloseHook = nil
      throw error
    }
  }

  /// Notes the child's end, if it has ended.
  func reapIfEnded() {
    guard returnCode == nil, !isAbandoned else { return }
    do throws(Errno) {
      guard let code = try loop.kernel.reap(child) else { return }
      returnCode = code
    } catch {
      EventLoop.log.warning(
        "child process \(pid) was reaped by someone else (\(error)): its return code is unknown, and taken for 255")
      returnCode = 255
    }
    closePidfd()
    forgetCloseHook?()
    forgetCloseHook = nil
    loop.callSoon { [self] in
      let onExit = onExit
      self.onExit = nil
      onExit?()
    }
  }

  private func closePidfd() {
    guard let pidfd = child.pidfd else { return }
    loop.release(pidfd)
    try? loop.kernel.close(pidfd)
    child.pidfd = nil
  }

  /// Sends a signal to the child, unless it has ended already, be it unnoticed so far.
  func send(_ signal: Signal) throws(IOError) {
    reapIfEnded()
    do throws(Errno) {
      guard returnCode == nil, !isAbandoned else { throw .noSuchProcess }
      try loop.kernel.signal(child, signal)
    } catch {
      throw IOError(error, "kill", "process \(pid)")
    }
  }

  override func descriptorIsReady(_ ready: Interest) { reapIfEnded() }

  override func loopWasClosed() {
    guard returnCode == nil, !isAbandoned else { return }
    if outlivesLoop {
      isAbandoned = true
      onExit = nil
      ChildReaper.release(child, loop.kernel)
      child.pidfd = nil
      return
    }
    if loop.debug { EventLoop.log.warning("child process \(pid) was still running when its event loop was closed") }
    abandon()
  }

  /// Kills the child, and leaves it to others to reap it.
  private func abandon() {
    isAbandoned = true
    onExit = nil
    ChildReaper.bury(child, loop.kernel)
    child.pidfd = nil
  }
}
