// SPDX-License-Identifier: Apache-2.0
import AsyncIO
import Synchronization

extension ProcessPoolExecutor {
  /// Makes a worker of the process if it was started as one, and tells which jobs it can do. Call it first thing in
  /// `main`, once, before the program does anything else.
  ///
  /// In the program itself it returns at once. In a worker, which is the same program, started again, it does jobs until
  /// the pool ends or its process does, and never returns. A program that has not called it cannot make a pool.
  public static func serveIfWorker(_ jobs: any ProcessJob.Type...) {
    JobRegistry.register(jobs)
    let arguments = CommandLine.arguments
    if arguments.count == 3, arguments[1] == Worker.argument, let number = Int32(arguments[2]) {
      Worker(Socket(adopting: FileDescriptor(rawValue: number))).serve()
    }
  }
}

/// A worker process, seen from inside.
final class Worker {
  /// What a worker is started with, before the number of its descriptor. People see it in a list of processes.
  static let argument = "--process-pool-worker"
  /// The number of a worker's end of the socket.
  static let descriptor: Int32 = 3

  private let socket: Socket
  private let stage = WorkerStage()
  private var reader = FrameReader()
  private var buffer = [UInt8](repeating: 0, count: 1 << 16)

  init(_ socket: Socket) { self.socket = socket }

  func serve() -> Never {
    do {
      try ServingProcess.setCloseOnExec(socket.descriptor)
      try socket.setNonBlocking(false)
      ServingProcess.ignoreInterrupt()
      try watchForTheEnd()
      try send(Frame(kind: .hello, body: Coding.encode(Hello(jobs: JobRegistry.names))))
      while let frame = try nextFrame() {
        stage.begin()
        try send(answer(to: frame))
        stage.end()
      }
    } catch {
      // The pool is gone, or was none: there is nobody to tell.
      ServingProcess.exit(1)
    }
    ServingProcess.exit(0)
  }

  /// Ends the process as soon as the pool is gone, also in the middle of a job: nobody waits for that any more.
  private func watchForTheEnd() throws {
    let (descriptor, stage) = (socket.descriptor, stage)
    try ThreadPoolExecutor(maxWorkers: 1, threadNamePrefix: "pool-watch").submit {
      ServingProcess.waitForHangUp(descriptor)
      stage.orphan()
    }
  }

  /// Nil at the end.
  private func nextFrame() throws -> Frame? {
    while true {
      if let frame = try reader.next() { return frame }
      let count = try socket.receive(into: &buffer)
      if count == 0 { return nil }
      reader.append(buffer.span.extracting(0..<count))
    }
  }

  private func send(_ frame: Frame) throws {
    guard let bytes = frame.bytes else { return try send(Frame(kind: .tooLarge, job: frame.job, body: [])) }
    var sent = 0
    while sent < bytes.count { sent += try socket.send(bytes.span.extracting(sent...)) }
  }

  private func answer(to frame: Frame) throws -> Frame {
    guard frame.kind == .job, let (name, job) = Frame.parseJob(frame.body) else { throw FrameReader.Malformed() }
    guard let run = JobRegistry.runner(named: name) else {
      return Frame(kind: .unregistered, job: frame.job, body: Array(name.utf8))
    }
    do {
      return Frame(kind: .output, job: frame.job, body: try run(job))
    } catch {
      let failure = RemoteJobError(
        typeName: String(reflecting: type(of: error)), message: String(describing: error))
      return Frame(kind: .failure, job: frame.job, body: try Coding.encode(failure))
    }
  }
}

/// Whether a worker is at a job, and whether its pool is gone: known to both of its threads.
private final class WorkerStage: Sendable {
  private enum Stage {
    case idle, busy, orphaned
  }

  private let stage = Mutex(Stage.idle)

  func begin() {
    stage.withLock { stage in
      if stage == .orphaned { ServingProcess.exit(0) }
      stage = .busy
    }
  }

  func end() {
    stage.withLock { $0 = .idle }
  }

  /// Idle, the main thread finds out by itself, and leaves in an orderly way.
  func orphan() {
    stage.withLock { stage in
      if stage == .busy { ServingProcess.exitAtOnce(0) }
      stage = .orphaned
    }
  }
}
