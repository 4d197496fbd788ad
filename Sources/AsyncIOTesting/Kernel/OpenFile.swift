// SPDX-License-Identifier: Apache-2.0
import AsyncIO
import SystemPackage

/// What a descriptor stands for. Several may stand for one.
class OpenFile {
  final let kernel: SimulatedKernel
  final var isNonBlocking = true
  /// How many descriptors stand for it.
  final var references = 1
  /// Who is told when it may have become ready, and under which number.
  private final var watchers: [(poller: SimulatedPoller, number: Int32)] = []

  init(_ kernel: SimulatedKernel) { self.kernel = kernel }

  var kind: FileKind { .other }
  /// What it is ready for at the moment.
  var readiness: Interest { [] }
  /// What it is, for reports.
  var label: String { "a file" }
  /// The last descriptor that stood for it was closed.
  func wasClosed() {}

  final func watch(_ poller: SimulatedPoller, as number: Int32) { watchers.append((poller, number)) }

  final func unwatch(_ poller: SimulatedPoller, as number: Int32) {
    watchers.removeAll { $0.poller === poller && $0.number == number }
  }

  /// Tells those who watch it that it may have become ready.
  final func changed() {
    for watcher in watchers { watcher.poller.look(at: watcher.number) }
  }
}

/// A counter that becomes readable when something was added to it.
final class CounterFile: OpenFile {
  private var count = 0

  override var readiness: Interest { count > 0 ? .read : [] }
  override var label: String { "a counter" }

  func drain() { count = 0 }
}
