// SPDX-License-Identifier: Apache-2.0
import SystemPackage

/// The system calls that a host's kernel was told to refuse.
struct Refusals {
  private struct Refusal {
    let error: Errno
    var skip: Int
    var times: Int
  }

  private var refusals: [KernelCall: [Refusal]] = [:]

  mutating func add(_ call: KernelCall, _ error: Errno, times: Int, skip: Int) {
    guard times > 0 else { return }
    refusals[call, default: []].append(Refusal(error: error, skip: skip, times: times))
  }

  mutating func removeAll() { refusals.removeAll() }

  /// What the call is refused with; nil when it goes through.
  mutating func next(_ call: KernelCall) -> Errno? {
    guard !refusals.isEmpty, var first = refusals[call]?.first else { return nil }
    if first.skip > 0 {
      first.skip -= 1
      refusals[call]?[0] = first
      return nil
    }
    first.times -= 1
    if first.times > 0 { refusals[call]?[0] = first } else { refusals[call]?.removeFirst() }
    if refusals[call]?.isEmpty == true { refusals[call] = nil }
    return first.error
  }
}
