// SPDX-License-Identifier: Apache-2.0

extension JobDoor {
  /// Runs the closure on the loop's thread: now if that is this one, else as soon as the loop gets to it.
  func runOnLoop(_ body: @escaping @Sendable () -> Void) {
    if isOnLoopThread {
      body()
    } else {
      mailbox.post(.call(RemoteCallback { _ in body() }))
    }
  }
}
