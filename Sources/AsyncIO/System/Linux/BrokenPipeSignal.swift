// SPDX-License-Identifier: Apache-2.0
#if os(Linux)
  import CAsyncIO
  import SystemPackage

  /// Runs a call that may raise SIGPIPE, which would end the process: the signal is held back for the length of the call,
  /// and taken away when it came. The process's own disposition stays as it is.
  func withoutBrokenPipeSignal<Answer>(_ call: () throws(Errno) -> Answer) throws(Errno) -> Answer {
    var brokenPipe = casyncio_no_signals()
    unsafe sigemptyset(&brokenPipe)
    unsafe sigaddset(&brokenPipe, SIGPIPE)
    var previous = casyncio_no_signals()
    unsafe pthread_sigmask(SIG_BLOCK, &brokenPipe, &previous)
    if unsafe sigismember(&previous, SIGPIPE) == 1 {
      // The program holds it back itself, and may have one waiting already: taking one away would take that.
      var pending = casyncio_no_signals()
      unsafe sigpending(&pending)
      if unsafe sigismember(&pending, SIGPIPE) == 1 { return try call() }
    }
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
#endif
