// SPDX-License-Identifier: Apache-2.0

/// A loop as other threads may see it: the one door to it. Get it from ``EventLoop/remote``, and pass it anywhere.
public struct RemoteLoop: Sendable {
  private let mailbox: Mailbox

  init(_ mailbox: Mailbox) { self.mailbox = mailbox }

  /// Runs a callback on the loop's thread as soon as possible. asyncio's `call_soon_threadsafe`.
  ///
  /// Callbacks of one sender run in the order in which it sent them, in one queue with those of `callSoon`. A blocked
  /// loop is woken once, however many are sent. Callable from any thread, the loop's own too.
  ///
  /// - Returns: a handle that cancels it, from any thread.
  /// - Throws: ``EventLoopError`` `.closed` when the loop is closed.
  @discardableResult
  public func callSoonThreadsafe(
    _ callback: consuming sending @escaping (EventLoop) throws -> Void
  ) throws(EventLoopError) -> RemoteHandle {
    var content = LoopBound(RemoteCallback.Content(body: consume callback))
    let call = mailbox.postCall { (spare: consuming RemoteCallback?) in
      let call = if let spare = consume spare { spare } else { RemoteCallback() }
      call.exchange(&content)
      return call
    }
    guard let call else { throw .closed }
    return RemoteHandle(call)
  }

  /// Stops the loop behind what was sent so far, like ``EventLoop/stop()``.
  ///
  /// - Throws: ``EventLoopError`` `.closed` when the loop is closed.
  public func stop() throws(EventLoopError) {
    guard mailbox.post(.stop) else { throw .closed }
  }

  /// Whether the caller is on the thread that runs the loop.
  public var isOnLoopThread: Bool { mailbox.isOnRunnersThread }

  func post(_ call: RemoteCallback) -> Bool { mailbox.post(.call(call)) }
}
