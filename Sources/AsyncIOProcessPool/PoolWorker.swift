// SPDX-License-Identifier: Apache-2.0
import AsyncIO

/// A worker process, seen from the pool: its process, and the connection to it.
final class PoolWorker {
  /// What a worker tells its pool, in iterations of the loop's own.
  enum Event {
    case hello(Hello)
    case answer(Frame)
    /// It is of no use, and is being ended. The text says why.
    case unusable(String)
    /// The process is gone, and so is the connection. The text says how, as in "process 7 was killed by SIGSEGV".
    case ended(String)
  }

  private let loop: EventLoop
  /// Nil after the end.
  private var onEvent: ((Event) -> Void)?
  private var channel: StreamTransport?
  private var process: SubprocessTransport?
  private var reader = FrameReader(limit: Frame.helloLimit)
  private var isChannelOpen = true
  private var hasSaidHello = false
  /// Why we ended it; nil when we did not.
  private var cause: String?
  /// Until the hello has come; after the process's exit until the connection's end.
  private var timer: TimerHandle?

  init(_ loop: EventLoop, _ onEvent: @escaping (Event) -> Void) {
    self.loop = loop
    self.onEvent = onEvent
  }

  var pid: Int32? { process?.pid }

  /// Starts the process. Ends with `ended`, however far it comes.
  func start(_ program: FilePath, within limit: Duration) async {
    if let cause { return end(because: cause) }
    do {
      let (ours, theirs) = try makePair()
      defer { theirs.close() }
      (channel, _) = try await loop.createConnection({ Channel(self) }, socket: ours)
      // Ended in the meantime: what was not started need not be killed.
      guard cause == nil else { return endWithoutProcess() }
      (process, _) = try await loop.subprocessExec(
        { Watch(self) }, program, [Worker.argument, String(Worker.descriptor)], stdin: .null, stdout: .inherit,
        stderr: .inherit, options: SubprocessOptions(descriptors: [Worker.descriptor: theirs.descriptor]))
    } catch {
      if cause == nil { cause = "no process could be started: \(error)" }
      return endWithoutProcess()
    }
    if cause != nil { return kill() }
    timer = loop.callLater(limit) { [self] in
      giveUp("did not call ProcessPoolExecutor.serveIfWorker within \(limit)")
    }
  }

  private func endWithoutProcess() {
    if isChannelOpen, let channel { channel.abort() } else { end(because: cause ?? "") }
  }

  private func makePair() throws -> (Socket, Socket) {
    do throws(Errno) {
      let (ours, theirs) = try loop.kernel.makeSocketPair(.stream)
      return (Socket(adopting: ours, kernel: loop.kernel), Socket(adopting: theirs, kernel: loop.kernel))
    } catch {
      throw IOError(error, "socketpair")
    }
  }

  func send(_ bytes: [UInt8]) { channel?.write(bytes) }

  /// Lets the process end by itself.
  func dismiss() {
    if cause == nil { cause = "process \(pid ?? 0) was dismissed" }
    channel?.close()
  }

  /// Ends the process.
  func kill(because reason: String = "it was not needed any more") {
    timer?.cancel()
    if cause == nil { cause = reason }
    process?.close()
    if process != nil { channel?.abort() }
  }

  /// Ends the process for what it did, and says so before it is gone: nobody shall wait for an answer of it.
  func giveUp(_ fault: String) {
    guard cause == nil else { return }
    let reason = "process \(pid ?? 0) \(fault)"
    kill(because: reason)
    onEvent?(.unusable(reason))
  }

  // MARK: What happens

  fileprivate func received(_ data: Span<UInt8>) {
    // Of one that is being ended, nothing is wanted any more.
    guard cause == nil else { return }
    reader.append(data)
    do {
      while cause == nil, let frame = try reader.next() { try received(frame) }
    } catch {
      giveUp("sent what is no answer")
    }
  }

  private func received(_ frame: Frame) throws {
    if hasSaidHello {
      guard frame.kind != .hello, frame.kind != .job else { throw FrameReader.Malformed() }
      onEvent?(.answer(frame))
    } else {
      guard frame.kind == .hello, frame.job == 0 else { throw FrameReader.Malformed() }
      let hello = try Coding.decode(Hello.self, from: frame.body)
      guard hello.version == Hello.version else { throw FrameReader.Malformed() }
      hasSaidHello = true
      reader.limit = Frame.limit
      timer?.cancel()
      onEvent?(.hello(hello))
    }
  }

  fileprivate func channelEnded() {
    isChannelOpen = false
    guard let process else {
      // While the process is being started it is not there yet, and noticed afterwards.
      if let cause { end(because: cause) }
      return
    }
    if process.returnCode != nil { return end(because: cause ?? fate) }
    // A worker that is not dismissed, and closes its end, is of no use; one that is dismissed has some time.
    if cause == nil { process.close() } else { timer = loop.callLater(.seconds(5)) { process.close() } }
  }

  fileprivate func processEnded() {
    timer?.cancel()
    if !isChannelOpen { return end(because: cause ?? fate) }
    // What it sent before its end is still to be read. That takes no time, unless a child of its own holds the socket.
    timer = loop.callLater(.seconds(1)) { [self] in channel?.abort() }
  }

  private var fate: String {
    guard let process, let code = process.returnCode else { return "its process was lost" }
    if code < 0 { return "process \(process.pid) was killed by \(Signal(rawValue: -code))" }
    return "process \(process.pid) ended with exit code \(code)"
  }

  private func end(because reason: String) {
    timer?.cancel()
    let tell = onEvent
    onEvent = nil
    channel = nil
    process = nil
    tell?(.ended(reason))
  }
}

/// The connection to a worker.
private final class Channel: StreamProtocol {
  private let worker: PoolWorker
  init(_ worker: PoolWorker) { self.worker = worker }
  func dataReceived(_ data: Span<UInt8>) { worker.received(data) }
  func connectionLost(_ error: (any Error)?) { worker.channelEnded() }
}

/// A worker's process.
private final class Watch: SubprocessProtocol {
  private let worker: PoolWorker
  init(_ worker: PoolWorker) { self.worker = worker }
  func processExited() { worker.processEnded() }
}
