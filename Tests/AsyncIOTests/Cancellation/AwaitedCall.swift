// SPDX-License-Identifier: Apache-2.0
import Dispatch
import Testing

@testable import AsyncIO

/// A public call that awaits, prepared to be cancelled at any moment.
struct AwaitedCall: Sendable, CustomTestStringConvertible {
  /// File and function of the call in the sources, and what is particular about this case of it.
  let name: String
  let prepare: @Sendable (EventLoop, TestKernel) async throws -> PreparedCall

  init(_ name: String, _ prepare: @escaping @Sendable (EventLoop, TestKernel) async throws -> PreparedCall) {
    self.name = name
    self.prepare = prepare
  }

  /// The call, as ``PublicCalls`` has it.
  var covered: String { String(name.prefix { $0 != " " }) }
  var testDescription: String { name }
}

/// What became of a call that was cancelled.
struct CancelledCall {
  /// Whether it returned all the same.
  var returned: Bool
  /// Whether what it waited for came, be it too late.
  var isComplete: Bool
}

struct PreparedCall {
  var call: () async throws -> Void
  /// Has what the call waits for come; nil for a call that waits for nobody but the kernel, or for what never comes.
  var complete: (() async throws -> Void)?
  /// Whether it waits until then.
  var waits = true
  /// Whether a cancellation changes nothing.
  var isShielded = false
  /// Checks that nothing was lost, and lets go of everything.
  var check: (CancelledCall) async throws -> Void = { _ in }
}

/// Holds up work on other threads until it is opened.
final class ThreadGate: Sendable {
  private let semaphore = DispatchSemaphore(value: 0)

  func pass() {
    semaphore.wait()
    semaphore.signal()
  }

  func open() { semaphore.signal() }
}

extension TestKernel {
  /// Has look-ups wait until the gate is opened; then they find this machine.
  func holdLookUps(_ gate: ThreadGate) {
    answerLookUps { query throws(ResolutionError) in
      gate.pass()
      return addresses(["127.0.0.1"], Int(query.service ?? "") ?? 0)
    }
  }
}
