// SPDX-License-Identifier: Apache-2.0

/// A callback that was sent to a loop from another thread. asyncio's `Handle` of `call_soon_threadsafe`, which here may be
/// cancelled from any thread.
///
/// Copies stand for the same callback. One that is not kept costs no memory.
public struct RemoteHandle: Sendable {
  let call: RemoteCallback

  init(_ call: RemoteCallback) { self.call = call }

  /// Makes sure that the callback does not run, and lets go of it at once. asyncio's `cancel`.
  ///
  /// From any thread. A callback that has begun, or ran, is not affected.
  ///
  /// - Returns: whether this call kept it from running.
  @discardableResult
  public func cancel() -> Bool { call.cancel() }

  /// Whether ``cancel()`` kept the callback from running. asyncio's `cancelled`.
  public var isCancelled: Bool { call.isCancelled }
}

extension RemoteHandle: Equatable {
  /// Whether both stand for the same callback.
  public static func == (one: RemoteHandle, other: RemoteHandle) -> Bool { one.call === other.call }
}
