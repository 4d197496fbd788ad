// SPDX-License-Identifier: Apache-2.0
#if os(Linux)
  import CAsyncIO
  import Glibc
  package import SystemPackage

  extension LinuxKernel {
    package func spawn(_ request: ChildRequest, sharingMemory: Bool) throws(SpawnError) -> Child {
      let spawned = unsafe request.withPlatformRequest { unsafe casyncio_spawn($0, sharingMemory ? 1 : 0) }
      guard spawned.code == 0 else {
        throw SpawnError(Errno(rawValue: spawned.code), SpawnError.Stage(spawned.stage), value: spawned.value)
      }
      return Child(pid: spawned.pid, pidfd: spawned.pidfd < 0 ? nil : FileDescriptor(rawValue: spawned.pidfd))
    }

    package func reap(_ child: Child) throws(Errno) -> Int32? {
      var status: Int32 = 0
      let ended = try systemCall { unsafe casyncio_wait(child.pid, child.number, 0, 0, &status) }
      return ended == 1 ? status : nil
    }

    package func waitForEnd(of child: Child) throws(Errno) {
      var status: Int32 = 0
      _ = try systemCall { unsafe casyncio_wait(child.pid, child.number, 1, 1, &status) }
    }

    package func signal(_ child: Child, _ signal: Signal) throws(Errno) {
      _ = try systemCall { casyncio_signal_child(child.pid, child.number, signal.rawValue) }
    }

    package func makePipe() throws(Errno) -> (reading: FileDescriptor, writing: FileDescriptor) {
      var ends: [Int32] = [-1, -1]
      _ = try systemCall { unsafe casyncio_pipe(&ends) }
      return (FileDescriptor(rawValue: ends[0]), FileDescriptor(rawValue: ends[1]))
    }

    package func openNullDevice() throws(Errno) -> FileDescriptor {
      FileDescriptor(rawValue: try systemCall { unsafe open("/dev/null", O_RDWR | O_CLOEXEC) })
    }

    package func makeTerminal(_ size: TerminalSize) throws(Errno) -> (master: FileDescriptor, terminal: FileDescriptor)
    {
      var (master, terminal): (Int32, Int32) = (-1, -1)
      let code = unsafe casyncio_open_terminal(&master, &terminal, size.rows, size.columns)
      if code != 0 { throw Errno(rawValue: code) }
      return (FileDescriptor(rawValue: master), FileDescriptor(rawValue: terminal))
    }

    package func resizeTerminal(_ descriptor: FileDescriptor, to size: TerminalSize) throws(Errno) {
      _ = try systemCall { casyncio_resize_terminal(descriptor.rawValue, size.rows, size.columns) }
    }

    package func duplicate(_ descriptor: FileDescriptor) throws(Errno) -> FileDescriptor {
      FileDescriptor(rawValue: try systemCall { fcntl(descriptor.rawValue, F_DUPFD_CLOEXEC, 3) })
    }
  }

  extension Child {
    /// The pidfd's number; -1 without one.
    fileprivate var number: Int32 { pidfd?.rawValue ?? -1 }
  }

  extension ChildRequest {
    /// Lends the request as the C side wants it: every pointer in it is good for the length of the call.
    fileprivate func withPlatformRequest<R>(_ body: (UnsafePointer<casyncio_child>) -> R) -> R {
      let paths = CStringArray(paths)
      let arguments = CStringArray(arguments)
      let environment = environmentWithRoom.map { CStringArray($0) }
      let directory = directory.map { CStringArray([$0]) }
      let sources = descriptors.map(\.source.rawValue)
      let targets = descriptors.map(\.number)
      var scratch = sources
      // The variables that tell the child its id are the environment's last.
      let first = (environment?.count ?? 0) - processIDVariables.count
      let places = unsafe processIDVariables.enumerated().map { index, name in
        unsafe environment?.pointers[first + index]?.advanced(by: name.utf8.count + 1)
      }
      // The extended lifetimes are what keeps the strings; the arrays are lent by their own methods.
      return withExtendedLifetime((paths, arguments, environment, directory)) {
        unsafe places.withUnsafeBufferPointer { places in
          unsafe sources.withUnsafeBufferPointer { sources in
            unsafe targets.withUnsafeBufferPointer { targets in
              unsafe scratch.withUnsafeMutableBufferPointer { scratch in
                unsafe (extraGroups ?? []).withUnsafeBufferPointer { groups in
                  var child = unsafe casyncio_child()
                  unsafe child.paths = unsafe UnsafePointer(paths.pointers)
                  unsafe child.arguments = unsafe UnsafePointer(arguments.pointers)
                  unsafe child.environment = unsafe environment.map { unsafe UnsafePointer($0.pointers) }
                  unsafe child.directory = unsafe directory.flatMap { unsafe UnsafePointer($0.pointers[0]) }
                  unsafe child.sources = sources.baseAddress
                  unsafe child.targets = targets.baseAddress
                  unsafe child.scratch = scratch.baseAddress
                  unsafe child.descriptor_count = Int32(sources.count)
                  unsafe child.new_session = startsSession ? 1 : 0
                  unsafe child.controls_terminal = controlsTerminal ? 1 : 0
                  unsafe child.process_group = processGroup ?? -1
                  unsafe child.file_mode_mask = fileModeMask.map { Int32($0 & 0o777) } ?? -1
                  unsafe child.user = user ?? .max
                  unsafe child.group = group ?? .max
                  unsafe child.groups = groups.baseAddress
                  unsafe child.group_count = extraGroups.map { Int32($0.count) } ?? -1
                  unsafe child.pid_places = places.baseAddress
                  unsafe child.pid_place_count = Int32(places.count)
                  return unsafe body(&child)
                }
              }
            }
          }
        }
      }
    }
  }

  extension ChildRequest {
    /// The environment with room for what the child writes into it; nil where the process's own will do.
    fileprivate var environmentWithRoom: [[UInt8]]? {
      if processIDVariables.isEmpty { return environment }
      let room = [UInt8](repeating: UInt8(ascii: "0"), count: Int(CASYNCIO_PID_ROOM))
      return (environment ?? Environment.entries) + processIDVariables.map { Array("\($0)=".utf8) + room }
    }
  }

  /// Strings as C wants them: an array of pointers that ends with a null one. Ours from `init` to `deinit`.
  @safe
  private final class CStringArray {
    let pointers: UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>
    let count: Int

    init(_ strings: [[UInt8]]) {
      count = strings.count
      unsafe pointers = .allocate(capacity: strings.count + 1)
      for (index, string) in strings.enumerated() {
        let closed = string.map(CChar.init(bitPattern:)) + [0]
        unsafe (pointers + index).initialize(to: strdup(closed))
      }
      unsafe (pointers + strings.count).initialize(to: nil)
    }

    deinit {
      for index in 0..<count { unsafe free(pointers[index]) }
      unsafe pointers.deallocate()
    }
  }

  extension SpawnError.Stage {
    fileprivate init(_ stage: casyncio_stage) {
      self =
        switch stage {
        case CASYNCIO_STAGE_SESSION: .session
        case CASYNCIO_STAGE_PROCESS_GROUP: .processGroup
        case CASYNCIO_STAGE_DESCRIPTOR: .descriptor
        case CASYNCIO_STAGE_TERMINAL: .terminal
        case CASYNCIO_STAGE_DIRECTORY: .directory
        case CASYNCIO_STAGE_GROUPS: .groups
        case CASYNCIO_STAGE_GROUP: .group
        case CASYNCIO_STAGE_USER: .user
        case CASYNCIO_STAGE_EXEC: .exec
        default: .clone
        }
    }
  }
#endif
