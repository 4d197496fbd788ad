// SPDX-License-Identifier: Apache-2.0
import AsyncIO

/// A worker process, seen from the pool: its process, and the connection to it.
final class PoolWorker {
  /// What a worker tells its pool, in iterations of the loop's own.
  enum Event {
    case hello(Hello)
    case answer(Frame)
    /// The process is gone, and so is the connection. The text says how, as in "process 7 was killed by SIGSEGV".
    case ended(String)
  }

  private let loop: EventLoop
  /// Nil after the end.
  private var onEvent: ((Event) -> Void)?
  private var channel: StreamTransport?
  private var process: SubprocessTransport?
  private var reader = FrameReader()
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
  func start(_ program: String, within limit: Duration) async {
    do {
      let (ours, theirs) = try makePair()
      defer { theirs.close() }
      (channel, _) = try await loop.createConnection({ Channel(self) }, socket: ours)
      (process, _) = try await loop.subprocessExec(
        { Watch(self) }, program, [Worker.argument, String(Worker.descriptor)], stdin: .null, stdout: .inherit,
        stderr: .inherit, options: SubprocessOptions(descriptors: [Worker.descriptor: theirs.descriptor]))
    } catch {
      cause = "no process could be started: \(error)"
      channel?.abort()
      if channel == nil { end(because: cause ?? "") }
      return
    }
    if cause != nil { return kill() }
    timer = loop.callLater(limit) { [self] in
      kill(because: "process \(pid ?? 0) did not call ProcessPoolExecutor.serveIfWorker within \(limit)")
    }
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

  // MARK: What happens

  fileprivate func received(_ data: Span<UInt8>) {
    reader.append(data)
    do {
      while let frame = try reader.next() { try received(frame) }
    } catch {
      kill(because: "process \(pid ?? 0) sent what is no answer")
    }
  }

  private func received(_ frame: Frame) throws {
    if hasSaidHello {
      guard frame.kind != .hello, frame.kind != .job else { throw FrameReader.Malformed() }
      onEvent?(.answer(frame))
    } else {
      guard frame.kind == .hello else { throw FrameReader.Malformed() }
      let hello = try Coding.decode(Hello.self, from: frame.body)
      guard hello.version == Hello.version else { throw FrameReader.Malformed() }
      hasSaidHello = true
      timer?.cancel()
      if cause == nil { onEvent?(.hello(hello)) }
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
