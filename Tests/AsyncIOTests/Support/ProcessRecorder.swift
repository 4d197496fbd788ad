// SPDX-License-Identifier: Apache-2.0
import SystemPackage
import Testing

@testable import AsyncIO

/// A protocol that writes down what it is told of a child process, and does what the test wants in answer.
final class ProcessRecorder: SubprocessProtocol {
  enum Call: Equatable {
    case made, exited, lost, pause, resume
    /// Data that follows data of the same pipe counts once.
    case data(Int32)
    case pipeLost(Int32, Errno?)
  }

  private(set) var calls: [Call] = []
  private(set) var output: [UInt8] = []
  private(set) var errorOutput: [UInt8] = []
  /// What the process's return code was when `processExited` came; outer nil before.
  private(set) var codeAtExit: Int32??
  private var kept: SubprocessTransport?

  var onMade: ((SubprocessTransport) throws -> Void)?
  var onData: ((Int32, [UInt8]) throws -> Void)?
  var onPipeLost: ((Int32) throws -> Void)?
  var onExited: (() throws -> Void)?
  var onLost: (() throws -> Void)?

  var transport: SubprocessTransport { kept! }
  var text: String { String(decoding: output, as: UTF8.self) }
  var errorText: String { String(decoding: errorOutput, as: UTF8.self) }
  var isLost: Bool { calls.contains(.lost) }
  var hasExited: Bool { codeAtExit != nil }

  /// Whether the pipe is lost, for whatever reason.
  func hasLostPipe(_ number: Int32) -> Bool {
    calls.contains { if case .pipeLost(number, _) = $0 { true } else { false } }
  }

  func connectionMade(_ transport: SubprocessTransport) throws {
    calls.append(.made)
    kept = transport
    try onMade?(transport)
  }

  func pipeDataReceived(_ fd: Int32, _ data: Span<UInt8>) throws {
    if calls.last != .data(fd) { calls.append(.data(fd)) }
    let bytes = [UInt8](copying: data)
    if fd == 1 { output += bytes } else { errorOutput += bytes }
    try onData?(fd, bytes)
  }

  func pipeConnectionLost(_ fd: Int32, _ error: (any Error)?) throws {
    calls.append(.pipeLost(fd, (error as? IOError)?.code))
    try onPipeLost?(fd)
  }

  func processExited() throws {
    calls.append(.exited)
    codeAtExit = .some(kept?.returnCode)
    try onExited?()
  }

  func pauseWriting() { calls.append(.pause) }
  func resumeWriting() { calls.append(.resume) }

  func connectionLost(_ error: (any Error)?) throws {
    calls.append(.lost)
    defer { (onMade, onData, onPipeLost, onExited, onLost) = (nil, nil, nil, nil, nil) }
    try onLost?()
  }

  /// Lets go of the transport, which may be asked for no more.
  func forgetTransport() { kept = nil }
}

extension SubprocessTransport {
  var stdin: WritePipeTransport? { pipeTransport(0) as? WritePipeTransport }
  var stdout: ReadPipeTransport? { pipeTransport(1) as? ReadPipeTransport }
}

extension EventLoop {
  /// Runs a shell command to its end, with nothing to read.
  func runShell(
    _ command: String, _ recorder: ProcessRecorder = ProcessRecorder(), stderr: ChildErrorStream = .pipe,
    options: SubprocessOptions = SubprocessOptions(), sourceLocation: SourceLocation = #_sourceLocation
  ) async throws -> ProcessRecorder {
    _ = try await subprocessShell({ recorder }, command, stdin: .null, stderr: stderr, options: options)
    try await until("the command ends: \(command)", sourceLocation: sourceLocation) { recorder.isLost }
    return recorder
  }
}

/// Whether a process of this number exists, a zombie too.
func processExists(_ pid: Int32) -> Bool { FileDescriptor.exists("/proc/\(pid)") }

extension FileDescriptor {
  static func exists(_ path: String) -> Bool {
    guard let descriptor = try? FileDescriptor.open(FilePath(path), .readOnly) else { return false }
    try? descriptor.close()
    return true
  }
}
