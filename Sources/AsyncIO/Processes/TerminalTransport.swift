// SPDX-License-Identifier: Apache-2.0
import SystemPackage

/// Our side of a child's terminal: what is written is typed, what is read would be on the screen.
///
/// Line ends arrive as `\r\n`, what is typed is echoed, and control characters act, as the terminal's modes say. The
/// terminal ends when no process has it open any more.
public final class TerminalTransport: ReadTransport, WriteTransport, PipeTransport {
  /// Both have the same master under a number of their own: the one is told when to read, the other when to write.
  private let reader: ReadPipeTransport
  private let writer: WritePipeTransport
  private let loop: EventLoop
  /// The reader's, which closes it.
  private let master: FileDescriptor
  /// Ours until the process has ended, or the program hangs up. A process that closes its streams on the way out must not
  /// be killed by the hang-up that the last master's end is.
  private var keeper: FileDescriptor?
  private var openHalves = 2
  /// Why reading failed, or was given up; an end is no failure.
  private var error: (any Error)?
  /// Whether the program closed it.
  private var wasClosed = false
  /// Who is told of data, of flow control, and of the end; nil afterwards.
  private var receiver: (any TerminalProtocol)?

  init(_ loop: EventLoop, reading: FileDescriptor, writing: FileDescriptor, keeping: FileDescriptor) {
    self.loop = loop
    master = reading
    keeper = keeping
    reader = ReadPipeTransport(loop, OwnedDescriptor(reading, loop.kernel, .characterDevice))
    writer = WritePipeTransport(loop, OwnedDescriptor(writing, loop.kernel, .characterDevice))
  }

  func start(_ receiver: any TerminalProtocol) {
    self.receiver = receiver
    writer.start(TerminalInput(self))
    reader.start(TerminalOutput(self))
  }

  fileprivate func dataReceived(_ data: Span<UInt8>) throws { try receiver?.dataReceived(data) }

  fileprivate func tell(_ signal: FlowControl.Signal) throws { try receiver?.tell(signal) }

  /// One of both has ended.
  fileprivate func readerEnded(_ error: (any Error)?) {
    if let error { self.error = error }
    // Bytes must not wait for a process that is gone. After a close of our own they still go out.
    if !wasClosed { writer.abort() }
    halfEnded()
  }

  /// What there is to read is still read: the end of that comes by itself.
  fileprivate func writerEnded() { halfEnded() }

  private func halfEnded() {
    openHalves -= 1
    guard openHalves == 0 else { return }
    let receiver = receiver
    self.receiver = nil
    receiver?.terminalEnded(error)
  }

  /// Lets the terminal go as soon as both halves do.
  func release() {
    guard let keeper else { return }
    self.keeper = nil
    try? loop.kernel.close(keeper)
  }

  /// Tells the terminal its size; programs in the foreground get a `SIGWINCH` when it has changed.
  ///
  /// - Throws: ``IOError`` after the end.
  public func resize(rows: UInt16, columns: UInt16) throws {
    loop.checkThread("TerminalTransport.resize")
    do throws(Errno) {
      if reader.isClosing || loop.isClosed { throw .badFileDescriptor }
      try loop.kernel.resizeTerminal(master, to: TerminalSize(rows: rows, columns: columns))
    } catch {
      throw IOError(error, "ioctl TIOCSWINSZ", "a terminal")
    }
  }

  public var isReading: Bool {
    loop.checkThread("TerminalTransport.isReading")
    return reader.isReading
  }

  public func pauseReading() {
    loop.checkThread("TerminalTransport.pauseReading")
    reader.pauseReading()
  }

  public func resumeReading() {
    loop.checkThread("TerminalTransport.resumeReading")
    reader.resumeReading()
  }

  public func write(_ bytes: Span<UInt8>) {
    loop.checkThread("TerminalTransport.write")
    writer.write(bytes)
  }

  public func writeLines(_ lines: [[UInt8]]) {
    loop.checkThread("TerminalTransport.writeLines")
    writer.writeLines(lines)
  }

  /// False: a terminal's program reads an end of file when it is typed, `\u{4}` at the start of a line.
  public var canWriteEOF: Bool { false }

  /// Types the end-of-file character: a program that reads lines sees an end of file, if it is at the start of a line.
  public func writeEOF() {
    loop.checkThread("TerminalTransport.writeEOF")
    writer.write("\u{4}")
  }

  public var writeBufferSize: Int {
    loop.checkThread("TerminalTransport.writeBufferSize")
    return writer.writeBufferSize
  }

  public var writeBufferLimits: (low: Int, high: Int) {
    loop.checkThread("TerminalTransport.writeBufferLimits")
    return writer.writeBufferLimits
  }

  public func setWriteBufferLimits(high: Int? = nil, low: Int? = nil) {
    loop.checkThread("TerminalTransport.setWriteBufferLimits")
    writer.setWriteBufferLimits(high: high, low: low)
  }

  public var isClosing: Bool {
    loop.checkThread("TerminalTransport.isClosing")
    return reader.isClosing
  }

  /// Hangs up: reading ends now, the rest once everything is written. The session's processes get a `SIGHUP`.
  public func close() {
    loop.checkThread("TerminalTransport.close")
    wasClosed = true
    release()
    reader.close()
    writer.close()
  }

  public func abort(_ error: (any Error)?) {
    loop.checkThread("TerminalTransport.abort")
    wasClosed = true
    if self.error == nil { self.error = error }
    release()
    reader.close()
    writer.abort()
  }

  /// The side that has the terminal's descriptor.
  var pipeDescriptor: FileDescriptor { reader.pipeDescriptor }
}

extension TerminalTransport: CustomStringConvertible {
  /// Names the descriptor, such as `terminal 7`.
  public var description: String { "terminal \(master.rawValue)" }
}

/// What a terminal's owner is told.
protocol TerminalProtocol: AnyObject {
  func dataReceived(_ data: Span<UInt8>) throws
  func tell(_ signal: FlowControl.Signal) throws
  func terminalEnded(_ error: (any Error)?)
}

/// Between the reading half and the terminal.
private final class TerminalOutput: ReadPipeProtocol {
  private let terminal: TerminalTransport
  init(_ terminal: TerminalTransport) { self.terminal = terminal }
  func dataReceived(_ data: Span<UInt8>) throws { try terminal.dataReceived(data) }
  func connectionLost(_ error: (any Error)?) { terminal.readerEnded(error) }
}

/// Between the writing half and the terminal.
private final class TerminalInput: WritePipeProtocol {
  private let terminal: TerminalTransport
  init(_ terminal: TerminalTransport) { self.terminal = terminal }
  func pauseWriting() throws { try terminal.tell(.pause) }
  func resumeWriting() throws { try terminal.tell(.resume) }
  func connectionLost(_ error: (any Error)?) { terminal.writerEnded() }
}
