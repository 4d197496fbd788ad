// SPDX-License-Identifier: Apache-2.0
import CAsyncIO

/// A signal of the operating system, by name. asyncio takes the constants of Python's `signal` module.
///
/// It reads `SIGINT (Interrupt)`.
public struct Signal: RawRepresentable, Hashable, Sendable, CustomStringConvertible {
  /// The platform's number of it.
  public let rawValue: Int32

  /// The signal of a number. A number that is no signal's is refused by whatever is asked to use it.
  public init(rawValue: Int32) { self.rawValue = rawValue }

  /// The terminal was closed; to daemons often: read the configuration again (`SIGHUP`).
  public static var hangUp: Signal { Signal(rawValue: SIGHUP) }
  /// Someone typed control-C (`SIGINT`).
  public static var interrupt: Signal { Signal(rawValue: SIGINT) }
  /// Someone typed control-\ (`SIGQUIT`).
  public static var quit: Signal { Signal(rawValue: SIGQUIT) }
  /// The program ran into what is no instruction (`SIGILL`).
  public static var illegalInstruction: Signal { Signal(rawValue: SIGILL) }
  /// A breakpoint (`SIGTRAP`).
  public static var trap: Signal { Signal(rawValue: SIGTRAP) }
  /// The program gave up, by `abort` (`SIGABRT`).
  public static var abort: Signal { Signal(rawValue: SIGABRT) }
  /// An access to memory that is not there behind its mapping (`SIGBUS`).
  public static var busError: Signal { Signal(rawValue: SIGBUS) }
  /// Arithmetic without an answer, such as a division by zero (`SIGFPE`).
  public static var arithmeticError: Signal { Signal(rawValue: SIGFPE) }
  /// Ends a process, which can't prevent it (`SIGKILL`).
  public static var kill: Signal { Signal(rawValue: SIGKILL) }
  /// Whatever the program says (`SIGUSR1`).
  public static var user1: Signal { Signal(rawValue: SIGUSR1) }
  /// An access to memory that is not the process's (`SIGSEGV`).
  public static var segmentationFault: Signal { Signal(rawValue: SIGSEGV) }
  /// Whatever the program says (`SIGUSR2`).
  public static var user2: Signal { Signal(rawValue: SIGUSR2) }
  /// A write that nobody will read (`SIGPIPE`).
  public static var brokenPipe: Signal { Signal(rawValue: SIGPIPE) }
  /// A timer of the process ran out (`SIGALRM`).
  public static var alarm: Signal { Signal(rawValue: SIGALRM) }
  /// Asks a process to end (`SIGTERM`).
  public static var terminate: Signal { Signal(rawValue: SIGTERM) }
  /// A child process ended, stopped or went on (`SIGCHLD`).
  public static var childChanged: Signal { Signal(rawValue: SIGCHLD) }
  /// Lets a stopped process go on (`SIGCONT`).
  public static var `continue`: Signal { Signal(rawValue: SIGCONT) }
  /// Stops a process, which can't prevent it (`SIGSTOP`).
  public static var stop: Signal { Signal(rawValue: SIGSTOP) }
  /// Someone typed control-Z (`SIGTSTP`).
  public static var terminalStop: Signal { Signal(rawValue: SIGTSTP) }
  /// A read from the terminal, in the background (`SIGTTIN`).
  public static var terminalInput: Signal { Signal(rawValue: SIGTTIN) }
  /// A write to the terminal, in the background (`SIGTTOU`).
  public static var terminalOutput: Signal { Signal(rawValue: SIGTTOU) }
  /// Urgent data arrived at a socket (`SIGURG`).
  public static var urgentData: Signal { Signal(rawValue: SIGURG) }
  /// The process used up its processor time (`SIGXCPU`).
  public static var processorTimeLimit: Signal { Signal(rawValue: SIGXCPU) }
  /// A file would grow beyond what the process may write (`SIGXFSZ`).
  public static var fileSizeLimit: Signal { Signal(rawValue: SIGXFSZ) }
  /// A timer of the process's own processor time ran out (`SIGVTALRM`).
  public static var virtualAlarm: Signal { Signal(rawValue: SIGVTALRM) }
  /// A timer of the process's and the system's processor time ran out (`SIGPROF`).
  public static var profilingAlarm: Signal { Signal(rawValue: SIGPROF) }
  /// The terminal's window has another size (`SIGWINCH`).
  public static var windowChanged: Signal { Signal(rawValue: SIGWINCH) }
  /// A descriptor is ready (`SIGIO`, `SIGPOLL`).
  public static var ioPossible: Signal { Signal(rawValue: SIGIO) }
  /// A system call that does not exist, or is forbidden (`SIGSYS`).
  public static var badSystemCall: Signal { Signal(rawValue: SIGSYS) }

  /// Sends the signal to this process. Python's `raise_signal`.
  ///
  /// What it does comes at once, or, where a loop handles it, when the loop gets to it. A number that is no signal's does
  /// nothing.
  public func raise() {
    _ = CAsyncIO.kill(getpid(), rawValue)
  }

  /// Whether the number is a signal's that programs may use: the C library keeps two for itself.
  package var isValid: Bool {
    (1..<32).contains(rawValue) || Signal.realTimeNumbers.contains(rawValue)
  }

  /// Whether a program can have it delivered and go on. What a thread raises by a mistake of its own it raises again as
  /// soon as the handler returns.
  var isHandleable: Bool {
    let faults: [Signal] = [.segmentationFault, .busError, .arithmeticError, .illegalInstruction, .trap]
    return isValid && self != .kill && self != .stop && !faults.contains(self)
  }

  /// The constant's name and what it means: `SIGINT (Interrupt)`.
  public var description: String {
    guard isValid else { return "signal \(rawValue)" }
    guard let name = unsafe casyncio_signal_name(rawValue), let meaning = unsafe casyncio_signal_meaning(rawValue)
    else {
      let number = rawValue - Signal.realTimeNumbers.lowerBound
      return "SIGRTMIN\(number == 0 ? "" : "+\(number)") (Real-time signal \(number))"
    }
    // Both are texts of the C library's that never go.
    return unsafe "SIG\(String(cString: name)) (\(String(cString: meaning)))"
  }
}
