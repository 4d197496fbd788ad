// SPDX-License-Identifier: Apache-2.0
import Glibc
import SystemPackage
import Testing

@testable import AsyncIO

/// Whether SIGPIPE waits for the thread, or is held back by it.
private func brokenPipeState() -> (isPending: Bool, isBlocked: Bool) {
  var pending = sigset_t()
  var mask = sigset_t()
  sigpending(&pending)
  pthread_sigmask(SIG_SETMASK, nil, &mask)
  return (sigismember(&pending, SIGPIPE) == 1, sigismember(&mask, SIGPIPE) == 1)
}

@Suite struct PipeWritingTests {
  private func write(_ descriptor: FileDescriptor, usesFlag: Bool) -> Result<Int, Errno> {
    var byte: UInt8 = 7
    return Result { () throws(Errno) in
      try withUnsafeMutableBytes(of: &byte) { (bytes) throws(Errno) in
        var vector = iovec(iov_base: bytes.baseAddress, iov_len: 1)
        return try PipeWriting.write(descriptor, &vector, 1, usesFlag: usesFlag)
      }
    }
  }

  @Test("writing to a pipe without reader leaves no signal, with and without the kernel's help")
  func noSignal() async throws {
    await #expect(processExitsWith: .success) {
      // In a process of its own, whose main thread's end by SIGPIPE would be seen.
      signal(SIGPIPE, SIG_DFL)
      let tests = PipeWritingTests()
      let (reading, writing) = try FileDescriptor.privatePipe()
      #expect(tests.write(writing, usesFlag: true) == .success(1))
      #expect(tests.write(writing, usesFlag: false) == .success(1))
      try reading.close()
      for usesFlag in [true, false] {
        #expect(tests.write(writing, usesFlag: usesFlag) == .failure(.brokenPipe))
        #expect(brokenPipeState() == (false, false))
      }
      var action = sigaction()
      sigaction(SIGPIPE, nil, &action)
      #expect(action.__sigaction_handler.sa_handler == nil, "the process's disposition is its own")
    }
  }

  @Test("a SIGPIPE that the program holds back is not taken from it")
  func keepsTheProgramsSignal() async throws {
    await #expect(processExitsWith: .success) {
      var set = sigset_t()
      sigemptyset(&set)
      sigaddset(&set, SIGPIPE)
      pthread_sigmask(SIG_BLOCK, &set, nil)
      let (reading, writing) = try FileDescriptor.privatePipe()
      try reading.close()
      let tests = PipeWritingTests()
      #expect(tests.write(writing, usesFlag: false) == .failure(.brokenPipe))
      #expect(brokenPipeState() == (false, true))
      raise(SIGPIPE)
      #expect(tests.write(writing, usesFlag: false) == .failure(.brokenPipe))
      #expect(brokenPipeState() == (true, true))
    }
  }

  @Test("a driver that takes no flags is written to without them")
  func driverWithoutFlags() throws {
    let full = try FileDescriptor.open("/dev/full", .writeOnly)
    #expect(write(full, usesFlag: true) == .failure(.noSpace))
    try full.close()
  }

  @Test("what descriptors stand for")
  func kinds() throws {
    let kernel = LinuxKernel.shared
    let (reading, writing) = try FileDescriptor.privatePipe()
    let (socket, peer) = try kernel.makeSocketPair(.stream)
    let (master, terminal) = try openTerminal()
    let folder = try FileDescriptor.open("/tmp", .readOnly)
    let file = try TemporaryFolder().file([])
    let counter = try kernel.makeCounter()
    let all = [reading, socket, master, terminal, folder, file, counter]
    #expect(
      try all.map { try kernel.fileKind($0) }
        == [.pipe, .socket, .characterDevice, .characterDevice, .directory, .regularFile, .other])
    for descriptor in all + [writing, peer] { try descriptor.close() }
  }
}
