// SPDX-License-Identifier: Apache-2.0
#if os(Linux)
  import CAsyncIO
  import Dispatch
  import Glibc
  import Synchronization
  import SystemPackage

  /// libdispatch's main queue, where `MainActor` and `DispatchQueue.main` send their work as long as nobody else serves
  /// them. A loop on the main thread serves it, as CFRunLoop does.
  enum MainDispatchQueue {
    /// Readable while the queue has work. It belongs to libdispatch; nil before ``open()``.
    static var descriptor: FileDescriptor? {
      isOpen.load(ordering: .acquiring) ? FileDescriptor(rawValue: _dispatch_get_main_queue_handle_4CF()) : nil
    }

    private static let isOpen = Atomic(false)

    /// Has libdispatch make the descriptor.
    ///
    /// It ends the process when there is none to be had. So we look first whether there is: on the main thread, on which
    /// a program starts, hardly anyone comes in between.
    static func open() throws(Errno) {
      if isOpen.load(ordering: .acquiring) { return }
      let likeIts = try systemCall { casyncio_counter() }
      _ = Glibc.close(likeIts)
      _ = _dispatch_get_main_queue_handle_4CF()
      isOpen.store(true, ordering: .releasing)
    }

    /// Whether the caller was called by the main queue, on whatever thread that runs.
    static var isCurrent: Bool { DispatchQueue.getSpecific(key: mark) ?? false }

    /// A mark that only the main queue bears.
    private static let mark = {
      let mark = DispatchSpecificKey<Bool>()
      DispatchQueue.main.setSpecific(key: mark, value: true)
      return mark
    }()

    /// Has the main queue run the closure.
    static func submit(after delay: Duration, _ work: @escaping @Sendable () -> Void) {
      let (seconds, attoseconds) = delay.components
      let nanoseconds = min(seconds, 1 << 32) * 1_000_000_000 + attoseconds / 1_000_000_000
      DispatchQueue.main.asyncAfter(deadline: .now() + .nanoseconds(Int(max(0, nanoseconds))), execute: work)
    }

    /// Runs what is queued. On the main thread only.
    static func drain() {
      _dispatch_main_queue_callback_4CF(nil)
    }
  }
#endif
