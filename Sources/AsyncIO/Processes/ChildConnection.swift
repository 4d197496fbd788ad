// SPDX-License-Identifier: Apache-2.0

/// The protocol behind a ``ChildProcess``: feeds its readers, holds back its writer.
///
/// It does not keep the readers: one that nobody has any more closes its pipe.
final class ChildConnection: SubprocessProtocol {
  private let loop: EventLoop
  private weak var stdout: StreamReader?
  private weak var stderr: StreamReader?
  let flow: StreamFlow
  /// The pipes to read from that have not ended.
  private var openOutputs: Set<Int32> = []
  private var hasExited = false
  /// Whether input and output are one terminal, which ends once.
  private var isTerminal = false
  /// Who waits for the end of everything.
  private let done: Gate

  init(_ loop: EventLoop, stdout: StreamReader, stderr: StreamReader) {
    self.loop = loop
    self.stdout = stdout
    self.stderr = stderr
    flow = StreamFlow(loop)
    done = Gate(loop)
  }

  func connectionMade(_ transport: SubprocessTransport) {
    isTerminal = transport.terminal != nil
    for number: Int32 in [1, 2] where !isTerminal || number == 1 {
      guard let pipe = transport.pipeTransport(number) as? any ReadTransport else { continue }
      openOutputs.insert(number)
      reader(number)?.setTransport(pipe, owned: true)
    }
  }

  private func reader(_ number: Int32) -> StreamReader? { number == 1 ? stdout : stderr }

  func pipeDataReceived(_ fd: Int32, _ data: Span<UInt8>) { reader(fd)?.feedData(data) }

  func pauseWriting() { flow.pauseWriting() }

  func resumeWriting() { flow.resumeWriting() }

  func pipeConnectionLost(_ fd: Int32, _ error: (any Error)?) {
    if fd == 0 || isTerminal { flow.connectionLost(error) }
    guard fd != 0 else { return }
    reader(fd)?.connectionLost(error)
    openOutputs.remove(fd)
    wakeIfDone()
  }

  func processExited() {
    hasExited = true
    wakeIfDone()
  }

  private var isDone: Bool { hasExited && openOutputs.isEmpty }

  private func wakeIfDone() {
    if isDone { done.wakeAll() }
  }

  /// Waits until the process has ended, and with it what it writes.
  func waitUntilDone() async throws {
    try await done.waitUntil("ChildProcess.communicate") { isDone }
  }
}
