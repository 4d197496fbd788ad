// SPDX-License-Identifier: Apache-2.0
import Synchronization
package import SystemPackage

/// A way to have the system do something that not every system admits, with an older one in reserve.
///
/// A kernel may not know a call or a flag, and a sandbox (a container's filter of system calls) may not let a process use
/// what is newer than itself. The first try finds out, for the whole process.
package final class NewerCall: Sendable {
  private let isRefused: Atomic<Bool>

  /// - Parameter isRefused: whether it is known already that the older call is to be used.
  package init(isRefused: Bool = false) { self.isRefused = Atomic(isRefused) }

  /// Makes the newer call; where that is refused, now or before, the older one.
  package func attempt<Answer, Failure: Error>(
    _ newer: () throws(Failure) -> Answer, isRefusal: (Failure) -> Bool, else older: () throws(Failure) -> Answer
  ) throws(Failure) -> Answer {
    if isRefused.load(ordering: .relaxed) { return try older() }
    do throws(Failure) {
      return try newer()
    } catch {
      guard isRefusal(error) else { throw error }
    }
    let answer = try older()
    // Only now: had the older call failed too, what was asked would have been at fault, and not the way of asking.
    isRefused.store(true, ordering: .relaxed)
    return answer
  }

  /// The same, for calls that throw the system's error number as it is.
  package func attempt<Answer>(
    _ newer: () throws(Errno) -> Answer, else older: () throws(Errno) -> Answer
  ) throws(Errno) -> Answer {
    try attempt(newer, isRefusal: \.isRefusal, else: older)
  }
}

extension Errno {
  /// Whether this is how a system says that it does not know a call or a flag of it (ENOSYS, EINVAL, EOPNOTSUPP), or does
  /// not let this process use it (EPERM, EACCES). It may be the call's own error just as well.
  var isRefusal: Bool {
    self == .noFunction || self == .invalidArgument || self == .notSupported || self == .notPermitted
      || self == .permissionDenied
  }
}
