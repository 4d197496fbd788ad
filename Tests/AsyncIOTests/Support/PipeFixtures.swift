// SPDX-License-Identifier: Apache-2.0
import Glibc
import SystemPackage
import Testing

@testable import AsyncIO

/// What a pipe transport may stand on. The contract holds for each of them.
enum PipeKind: CaseIterable, Sendable {
  case pipe, fifo, socketPair, terminal

  /// Where a write pipe hears of its reader's end without a write.
  static let watchingTheReader: [PipeKind] = [.pipe, .fifo, .socketPair]

  /// The call that a read transport reads by.
  var readCall: TestKernel.Call { self == .socketPair ? .receive : .read }

  /// Two descriptors of which the one reads what is written to the other. Both block.
  func open() throws -> (reading: FileDescriptor, writing: FileDescriptor) {
    switch self {
    case .pipe:
      let (reading, writing) = try FileDescriptor.privatePipe()
      return (reading, writing)
    case .fifo:
      let folder = try TemporaryFolder()
      let path = try folder.fifo("fifo")
      let reading = try FileDescriptor.open(FilePath(path), .readOnly, options: .nonBlocking)
      let writing = try FileDescriptor.open(FilePath(path), .writeOnly)
      try LinuxKernel.shared.setNonBlocking(reading, false)
      return (reading, writing)
    case .socketPair:
      let (reading, writing) = try LinuxKernel.shared.makeSocketPair(.stream)
      try LinuxKernel.shared.setNonBlocking(reading, false)
      try LinuxKernel.shared.setNonBlocking(writing, false)
      return (reading, writing)
    case .terminal:
      let (reading, writing) = try openTerminal()
      // Bytes as they are: no line ends made of others, no echo.
      var mode = termios()
      #expect(tcgetattr(writing.rawValue, &mode) == 0)
      cfmakeraw(&mode)
      #expect(tcsetattr(writing.rawValue, TCSANOW, &mode) == 0)
      return (reading, writing)
    }
  }

  /// A read transport on the one end, the other one by hand.
  func reader(
    _ loop: EventLoop, _ kernel: TestKernel, _ recorder: ReadRecorder = ReadRecorder()
  ) async throws -> (ReadRecorder, PipePeer) {
    let (reading, writing) = try open()
    kernel.enrol(reading)
    let peer = PipePeer(writing, kernel)
    recorder.peer = peer
    _ = try await loop.connectReadPipe({ recorder }, reading)
    return (recorder, peer)
  }

  /// A write transport on the one end, the other one by hand.
  func writer(
    _ loop: EventLoop, _ kernel: TestKernel, _ recorder: WriteRecorder = WriteRecorder()
  ) async throws -> (WriteRecorder, PipePeer) {
    let (reading, writing) = try open()
    kernel.enrol(writing)
    let peer = PipePeer(reading, kernel)
    recorder.peer = peer
    _ = try await loop.connectWritePipe({ recorder }, writing)
    return (recorder, peer)
  }
}

/// One end of a pipe, driven by hand, past what the test injects. Closed with the object.
final class PipePeer {
  let descriptor: FileDescriptor
  private let kernel: TestKernel
  private var isOpen = true

  init(_ descriptor: FileDescriptor, _ kernel: TestKernel) {
    self.descriptor = descriptor
    self.kernel = kernel
    kernel.enrol(descriptor)
    #expect(throws: Never.self) { try LinuxKernel.shared.setNonBlocking(descriptor, true) }
  }

  deinit { close() }

  func close() {
    guard isOpen else { return }
    isOpen = false
    try? kernel.close(descriptor)
  }

  /// Writes bytes for which there is room.
  func send(_ bytes: [UInt8]) throws {
    #expect(try LinuxKernel.shared.write(descriptor, bytes.span) == bytes.count)
  }

  func send(_ text: String) throws { try send(Array(text.utf8)) }

  /// What has arrived by now; nil when there is nothing, empty at the end.
  func receiveNow(maxBytes: Int = 1 << 20) throws -> [UInt8]? {
    var bytes = [UInt8](repeating: 0, count: maxBytes)
    var span = bytes.mutableSpan
    do {
      let count = try LinuxKernel.shared.read(descriptor, into: &span)
      return Array(bytes[..<count])
    } catch {
      guard error == .wouldBlock else { throw error }
      return nil
    }
  }

  /// Reads so many bytes.
  func receive(_ count: Int, on loop: EventLoop) async throws -> [UInt8] {
    var bytes: [UInt8] = []
    try await loop.until("\(count) bytes arrive") {
      while bytes.count < count, let part = try receiveNow(maxBytes: count - bytes.count) {
        if part.isEmpty { throw UnexpectedEnd() }
        bytes += part
      }
      return bytes.count == count
    }
    return bytes
  }

  /// Whether everything was read and no writer is left.
  func isAtEnd(on loop: EventLoop) async throws -> Bool {
    var last: [UInt8]?
    try await loop.until("the pipe says something") {
      last = try receiveNow()
      return last != nil
    }
    return last == []
  }
}

/// What a pipe's protocol was told, but for data.
enum PipeCall: Equatable {
  case made, data, eof, pause, resume
  case lost(Errno?)
}

/// A protocol of a read pipe that writes down what it is told.
final class ReadRecorder: ReadPipeProtocol {
  private(set) var calls: [PipeCall] = []
  private(set) var received: [UInt8] = []
  private(set) var chunkSizes: [Int] = []
  private(set) var loss: (any Error)??
  private(set) var kept: ReadPipeTransport?
  /// The far end, kept open as long as the recorder lives.
  var peer: PipePeer?

  var onMade: ((ReadPipeTransport) throws -> Void)?
  var onData: (([UInt8]) throws -> Void)?
  var onEOF: (() throws -> Void)?

  var transport: ReadPipeTransport { kept! }
  var isLost: Bool { loss != nil }
  var text: String { String(decoding: received, as: UTF8.self) }

  func connectionMade(_ transport: ReadPipeTransport) throws {
    calls.append(.made)
    kept = transport
    try onMade?(transport)
  }

  func dataReceived(_ data: Span<UInt8>) throws {
    if calls.last != .data { calls.append(.data) }
    chunkSizes.append(data.count)
    let bytes = [UInt8](copying: data)
    received += bytes
    try onData?(bytes)
  }

  func eofReceived() throws {
    calls.append(.eof)
    try onEOF?()
  }

  func connectionLost(_ error: (any Error)?) {
    calls.append(.lost((error as? IOError)?.code))
    loss = .some(error)
    (onMade, onData, onEOF) = (nil, nil, nil)
  }

  func forgetTransport() { kept = nil }
}

/// A protocol of a write pipe that writes down what it is told.
final class WriteRecorder: WritePipeProtocol {
  private(set) var calls: [PipeCall] = []
  private(set) var loss: (any Error)??
  private(set) var kept: WritePipeTransport?
  /// The far end, kept open as long as the recorder lives.
  var peer: PipePeer?

  var onMade: ((WritePipeTransport) throws -> Void)?
  var onPause: (() throws -> Void)?
  var onResume: (() throws -> Void)?
  var onLost: (() throws -> Void)?

  var transport: WritePipeTransport { kept! }
  var isLost: Bool { loss != nil }
  var ioLoss: IOError? { (loss ?? nil) as? IOError }

  func connectionMade(_ transport: WritePipeTransport) throws {
    calls.append(.made)
    kept = transport
    try onMade?(transport)
  }

  func pauseWriting() throws {
    calls.append(.pause)
    try onPause?()
  }

  func resumeWriting() throws {
    calls.append(.resume)
    try onResume?()
  }

  func connectionLost(_ error: (any Error)?) throws {
    calls.append(.lost((error as? IOError)?.code))
    loss = .some(error)
    defer { (onMade, onPause, onResume, onLost) = (nil, nil, nil, nil) }
    try onLost?()
  }

  func forgetTransport() { kept = nil }
}

extension FileDescriptor {
  /// Whether the open file below it is non-blocking.
  var isNonBlocking: Bool {
    get throws { try LinuxKernel.shared.isNonBlocking(self) }
  }
}

extension EventLoop {
  /// Fails the test when something spins: while a timer of 20 ms runs, a loop with nothing to do polls a handful of times.
  func expectIdle(_ kernel: TestKernel, sourceLocation: SourceLocation = #_sourceLocation) async throws {
    try await turn()
    let before = kernel.count(of: .wait)
    try await sleep(for: .milliseconds(20))
    let polls = kernel.count(of: .wait) - before
    #expect(polls < 10, "the loop spins", sourceLocation: sourceLocation)
  }
}
