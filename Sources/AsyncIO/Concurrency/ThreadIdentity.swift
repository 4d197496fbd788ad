// SPDX-License-Identifier: Apache-2.0
import CAsyncIO

/// The identity of a thread, for as long as it lives.
struct ThreadIdentity: Equatable, Sendable {
  /// Never zero: zero stands for "no thread" where an identity is stored in an atomic.
  let number: UInt

  static var current: ThreadIdentity { ThreadIdentity(number: UInt(pthread_self())) }

  /// Whether this is the thread that the process began with.
  static var isMain: Bool { casyncio_is_main_thread() != 0 }
}
