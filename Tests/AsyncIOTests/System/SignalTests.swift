// SPDX-License-Identifier: Apache-2.0
import Glibc
import Testing

@testable import AsyncIO

@Suite struct SignalTests {
  @Test(
    "each signal has its platform's number and reads as its constant's name",
    arguments: [
      (Signal.hangUp, SIGHUP, "SIGHUP"), (.interrupt, SIGINT, "SIGINT"), (.quit, SIGQUIT, "SIGQUIT"),
      (.illegalInstruction, SIGILL, "SIGILL"), (.trap, SIGTRAP, "SIGTRAP"), (.abort, SIGABRT, "SIGABRT"),
      (.busError, SIGBUS, "SIGBUS"), (.arithmeticError, SIGFPE, "SIGFPE"), (.kill, SIGKILL, "SIGKILL"),
      (.user1, SIGUSR1, "SIGUSR1"), (.segmentationFault, SIGSEGV, "SIGSEGV"), (.user2, SIGUSR2, "SIGUSR2"),
      (.brokenPipe, SIGPIPE, "SIGPIPE"), (.alarm, SIGALRM, "SIGALRM"), (.terminate, SIGTERM, "SIGTERM"),
      (.stackFault, SIGSTKFLT, "SIGSTKFLT"), (.childChanged, SIGCHLD, "SIGCHLD"), (.continue, SIGCONT, "SIGCONT"),
      (.stop, SIGSTOP, "SIGSTOP"), (.terminalStop, SIGTSTP, "SIGTSTP"), (.terminalInput, SIGTTIN, "SIGTTIN"),
      (.terminalOutput, SIGTTOU, "SIGTTOU"), (.urgentData, SIGURG, "SIGURG"),
      (.processorTimeLimit, SIGXCPU, "SIGXCPU"), (.fileSizeLimit, SIGXFSZ, "SIGXFSZ"),
      (.virtualAlarm, SIGVTALRM, "SIGVTALRM"), (.profilingAlarm, SIGPROF, "SIGPROF"),
      (.windowChanged, SIGWINCH, "SIGWINCH"), (.ioPossible, SIGIO, "SIGPOLL"), (.powerFailure, SIGPWR, "SIGPWR"),
      (.badSystemCall, SIGSYS, "SIGSYS"),
    ])
  func names(signal: Signal, number: Int32, name: String) {
    #expect(signal.rawValue == number)
    #expect(signal.description.hasPrefix("\(name) ("))
    #expect(signal.isValid)
    #expect(signal == Signal(rawValue: number))
  }

  @Test("the numbers 1 to 31 are all named, each once")
  func complete() {
    let texts = (1...31).map { Signal(rawValue: $0).description }
    #expect(Set(texts).count == 31)
    #expect(texts.allSatisfy { $0.hasPrefix("SIG") && $0.hasSuffix(")") })
    #expect(Signal.interrupt.description == "SIGINT (Interrupt)")
  }

  @Test("real-time signals are counted from the first that programs may use")
  func realTime() {
    #expect(Signal.realTime(0).rawValue == __libc_current_sigrtmin())
    #expect(Signal.realTime(30).rawValue == __libc_current_sigrtmax())
    #expect(Signal.realTime(0).description == "SIGRTMIN (Real-time signal 0)")
    #expect(Signal.realTime(7).description == "SIGRTMIN+7 (Real-time signal 7)")
    #expect((0...30).allSatisfy { Signal.realTime($0).isValid })
  }

  @Test("numbers that are no signal's are told apart", arguments: [Int32.min, -1, 0, 32, 33, 65, 4096, .max])
  func invalid(number: Int32) {
    #expect(!Signal(rawValue: number).isValid)
    #expect(Signal(rawValue: number).description == "signal \(number)")
  }

  @Test("a real-time signal that there is not is a programmer error", arguments: [-1, 31])
  func noSuchRealTime(number: Int) async {
    await #expect(processExitsWith: .failure) { [number] in _ = Signal.realTime(number) }
  }
}
