// SPDX-License-Identifier: Apache-2.0
import SystemPackage

/// How a child's standard streams are connected.
enum ChildStreams {
  case separate(stdin: ChildStream, stdout: ChildStream, stderr: ChildErrorStream)
  case terminal(TerminalSize)
}

/// The descriptors between us and a child that is being started.
struct ChildDescriptors {
  /// What the child gets, under its own numbers.
  private(set) var table: [(number: Int32, source: FileDescriptor)] = []
  /// Our ends of pipes, by the child's number, non-blocking. A terminal's is at 1 to read, at 0 to write, and at 2 to
  /// keep the terminal from being hung up.
  private(set) var ours: [Int32: FileDescriptor] = [:]
  /// Those that were opened for the child alone.
  private var theirs: [FileDescriptor] = []
  private let kernel: any Kernel

  /// Opens what is needed, or nothing.
  init(_ streams: ChildStreams, _ kernel: any Kernel) throws(IOError) {
    self.kernel = kernel
    do throws(IOError) {
      switch streams {
      case .separate(let stdin, let stdout, let stderr):
        try connect(0, stdin)
        try connect(1, stdout)
        try connectError(stderr)
      case .terminal(let size):
        try connect(size)
      }
    } catch {
      closeOurs()
      closeTheirs()
      throw error
    }
  }

  private mutating func connect(_ number: Int32, _ stream: ChildStream) throws(IOError) {
    switch stream {
    case .inherit:
      break
    case .null:
      let device = try ioCall("open", "/dev/null") { () throws(Errno) in try kernel.openNullDevice() }
      give(device, as: number)
    case .descriptor(let descriptor):
      table.append((number, descriptor))
    case .pipe:
      let (reading, writing) = try ioCall("pipe") { () throws(Errno) in try kernel.makePipe() }
      let (own, childs) = number == 0 ? (writing, reading) : (reading, writing)
      ours[number] = own
      give(childs, as: number)
      try ioCall("fcntl", "pipe \(own.rawValue)") { () throws(Errno) in try kernel.setNonBlocking(own, true) }
    }
  }

  private mutating func connectError(_ stream: ChildErrorStream) throws(IOError) {
    switch stream {
    case .inherit: try connect(2, .inherit)
    case .null: try connect(2, .null)
    case .pipe: try connect(2, .pipe)
    case .descriptor(let descriptor): try connect(2, .descriptor(descriptor))
    case .standardOutput:
      table.append((2, table.first { $0.number == 1 }?.source ?? FileDescriptor.standardOutput))
    }
  }

  private mutating func connect(_ size: TerminalSize) throws(IOError) {
    let (master, terminal) = try ioCall("posix_openpt") { () throws(Errno) in try kernel.makeTerminal(size) }
    ours[1] = master
    theirs.append(terminal)
    for number in 0..<3 { table.append((Int32(number), terminal)) }
    // Reading and writing are watched on a number each.
    for number: Int32 in [0, 2] {
      ours[number] = try ioCall("dup", "descriptor \(master.rawValue)") { () throws(Errno) in
        try kernel.duplicate(master)
      }
    }
  }

  private mutating func give(_ descriptor: FileDescriptor, as number: Int32) {
    table.append((number, descriptor))
    theirs.append(descriptor)
  }

  private func ioCall<R>(
    _ operation: String, _ subject: String? = nil, _ call: () throws(Errno) -> R
  ) throws(IOError) -> R {
    do throws(Errno) { return try call() } catch { throw IOError(error, operation, subject) }
  }

  /// The child has them now: our copies would keep its streams from ending.
  mutating func closeTheirs() {
    for descriptor in theirs { try? kernel.close(descriptor) }
    theirs = []
  }

  mutating func closeOurs() {
    for descriptor in ours.values { try? kernel.close(descriptor) }
    ours = [:]
  }
}
