// SPDX-License-Identifier: Apache-2.0
import CAsyncIO
import SystemPackage

/// Runs a call that answers -1 with `errno`, and throws that.
@inline(__always)
func systemCallOnce<Answer: SignedInteger>(_ call: () -> Answer) throws(Errno) -> Answer {
  let answer = call()
  if answer == -1 { throw Errno(rawValue: casyncio_errno()) }
  return answer
}

/// The same, again whenever a signal interrupted it.
@inline(__always)
func systemCall<Answer: SignedInteger>(_ call: () -> Answer) throws(Errno) -> Answer {
  while true {
    let answer = call()
    if answer != -1 { return answer }
    let code = Errno(rawValue: casyncio_errno())
    if code != .interrupted { throw code }
  }
}
