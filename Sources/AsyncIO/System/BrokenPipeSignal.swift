// SPDX-License-Identifier: Apache-2.0
import Glibc
import SystemPackage

/// Runs a call that may raise SIGPIPE, which would end the process: the signal is held back for the length of the call,
/// and taken away when it came. The process's own disposition stays as it is.
func withoutBrokenPipeSignal<Answer>(_ call: () throws(Errno) -> Answer) throws(Errno) -> Answer {
  var pending = sigset_t()
  unsafe sigpending(&pending)
  // The program holds one back already: taking one away would take that.
  if unsafe sigismember(&pending, SIGPIPE) == 1 { return try call() }
  var brokenPipe = sigset_t()
  unsafe sigemptyset(&brokenPipe)
  unsafe sigaddset(&brokenPipe, SIGPIPE)
  var previous = sigset_t()
  unsafe pthread_sigmask(SIG_BLOCK, &brokenPipe, &previous)
  defer { unsafe pthread_sigmask(SIG_SETMASK, &previous, nil) }
  do throws(Errno) {
    return try call()
  } catch {
    // The kernel raises it on the thread that made the call.
    var now = timespec()
    if error == .brokenPipe { unsafe sigtimedwait(&brokenPipe, nil, &now) }
    throw error
  }
}
