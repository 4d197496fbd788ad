// SPDX-License-Identifier: Apache-2.0
import Glibc
import SystemPackage
import Testing

@testable import AsyncIO

@Suite struct SubprocessSpawnTests {
  // MARK: What the child gets

  @Test("neither mask nor handlers of this program reach a child, and SIGPIPE does what it does by default")
  func signals() async {
    // In a process of its own, since dispositions are a process's.
    await #expect(processExitsWith: .success) {
      Glibc.signal(SIGPIPE, SIG_IGN)
      Glibc.signal(SIGHUP, SIG_IGN)
      Glibc.signal(SIGUSR1) { _ in }
      var all = sigset_t()
      sigfillset(&all)
      pthread_sigmask(SIG_SETMASK, &all, nil)
      try runProcessLoop { loop, _ in
        let recorder = try await loop.runShell("exec cat /proc/self/status")
        let (hangUp, brokenPipe) = (UInt64(1) << (SIGHUP - 1), UInt64(1) << (SIGPIPE - 1))
        let fields = signalFields(of: recorder.text)
        #expect(fields["SigBlk"] == 0)
        let ignored = try #require(fields["SigIgn"])
        #expect(ignored & hangUp != 0, "what nohup ignores stays ignored")
        #expect(ignored & brokenPipe == 0)
        var left = sigset_t()
        pthread_sigmask(SIG_SETMASK, nil, &left)
        #expect(sigismember(&left, SIGUSR2) == 1, "our own mask is as it was")
        let dying = try await loop.runShell("kill -USR1 $$; sleep 1000")
        #expect(dying.transport.returnCode == -SIGUSR1)
      }
    }
  }

  @Test("dispositions that were changed on this thread's behalf are the defaults in the child")
  func mask() throws {
    try runProcessLoop { loop, _ in
      var some = sigset_t()
      sigemptyset(&some)
      sigaddset(&some, SIGUSR2)
      var previous = sigset_t()
      pthread_sigmask(SIG_BLOCK, &some, &previous)
      defer { pthread_sigmask(SIG_SETMASK, &previous, nil) }
      let recorder = try await loop.runShell("exec cat /proc/self/status")
      #expect(signalFields(of: recorder.text)["SigBlk"] == 0)
      var left = sigset_t()
      pthread_sigmask(SIG_SETMASK, nil, &left)
      #expect(sigismember(&left, SIGUSR2) == 1)
      #expect(sigismember(&left, SIGUSR1) == sigismember(&previous, SIGUSR1), "our own mask is as it was")
    }
  }

  @Test("only the standard descriptors and those passed on purpose are inherited, whatever else is open")
  func inheritance() throws {
    try runProcessLoop { loop, _ in
      // Without close-on-exec, as a careless library opens files.
      let leaked = fcntl(2, F_DUPFD, 60)
      defer { close(leaked) }
      let (reading, writing) = try FileDescriptor.privatePipe()
      defer {
        try? reading.close()
        try? writing.close()
      }
      let recorder = try await loop.runShell(
        "for i in /proc/$$/fd/*; do echo -n ${i##*/},; done",
        options: SubprocessOptions(descriptors: [7: writing, 200: writing]))
      // The shell's own, to read the folder, is gone when it lists it.
      let numbers = Set(recorder.text.split(separator: ",").compactMap { Int32($0) })
      #expect(numbers.subtracting([3]) == [0, 1, 2, 7, 200])
      #expect(fcntl(leaked, F_GETFD) == 0, "our own is as it was")
    }
  }

  @Test("our end of a child's input reaches neither it nor its siblings, so that end of file comes")
  func endOfFile() throws {
    try runProcessLoop { loop, _ in
      let (first, one) = try await loop.subprocessExec({ ProcessRecorder() }, "cat")
      let (second, other) = try await loop.subprocessExec({ ProcessRecorder() }, "cat")
      first.stdin?.close()
      try await loop.until("the first ends while its sibling lives") { one.isLost }
      #expect(second.returnCode == nil)
      second.stdin?.close()
      try await loop.until("the second ends") { other.isLost }
    }
  }

  @Test("Extra descriptors arrive under the numbers asked for, also where numbers change places")
  func shuffledDescriptors() throws {
    try runProcessLoop { loop, _ in
      // Two descriptors, each of which is to have the number of the other in the child.
      let pipes = try (0..<2).map { _ in try FileDescriptor.privatePipe() }
      defer {
        for pipe in pipes { try? pipe.readEnd.close() }
        for pipe in pipes { try? pipe.writeEnd.close() }
      }
      for (index, pipe) in pipes.enumerated() { _ = try pipe.writeEnd.writeAll(Array("pipe \(index)\n".utf8)) }
      let (a, b) = (pipes[0].readEnd, pipes[1].readEnd)
      let recorder = try await loop.runShell(
        "read x </proc/self/fd/\(a.rawValue); read y </proc/self/fd/\(b.rawValue); echo $x, $y",
        options: SubprocessOptions(descriptors: [a.rawValue: b, b.rawValue: a]))
      #expect(recorder.text == "pipe 1, pipe 0\n")
    }
  }

  @Test("A descriptor may keep its number")
  func sameNumber() throws {
    try runProcessLoop { loop, _ in
      let (reading, writing) = try FileDescriptor.privatePipe()
      // Close-on-exec, as most are.
      #expect(fcntl(reading.rawValue, F_SETFD, FD_CLOEXEC) == 0)
      try writing.writeAll(Array("kept\n".utf8))
      try writing.close()
      let recorder = try await loop.runShell(
        "exec cat /proc/self/fd/\(reading.rawValue)",
        options: SubprocessOptions(descriptors: [reading.rawValue: reading]))
      #expect(recorder.text == "kept\n")
      #expect(fcntl(reading.rawValue, F_GETFD) == FD_CLOEXEC, "our own is as it was")
      try reading.close()
    }
  }

  @Test("A descriptor may serve several streams, and stays the program's")
  func sharedDescriptor() throws {
    try runProcessLoop { loop, _ in
      let (reading, writing) = try FileDescriptor.privatePipe()
      defer {
        try? reading.close()
        try? writing.close()
      }
      let (_, recorder) = try await loop.subprocessShell(
        { ProcessRecorder() }, "echo out; echo err >&2; echo more >&9", stdin: .null, stdout: .descriptor(writing),
        stderr: .descriptor(writing), options: SubprocessOptions(descriptors: [9: writing]))
      try await loop.until("it ends") { recorder.isLost }
      #expect(recorder.calls == [.made, .exited, .lost])
      var bytes = [UInt8](repeating: 0, count: 100)
      let count = try bytes.withUnsafeMutableBytes { try reading.read(into: $0) }
      #expect(String(decoding: bytes.prefix(count), as: UTF8.self) == "out\nerr\nmore\n")
      _ = try writing.writeAll([1])
    }
  }

  @Test("Our own standard descriptors may be given in another order, also when one of them is a child's target")
  func ownStandardDescriptors() throws {
    try runProcessLoop { loop, _ in
      let own = "/proc/\(ownProcessID())/fd"
      let (_, recorder) = try await loop.subprocessShell(
        { ProcessRecorder() }, "[ /proc/self/fd/5 -ef \(own)/0 ] && [ /proc/self/fd/6 -ef \(own)/1 ] && echo yes",
        stdin: .null, options: SubprocessOptions(descriptors: [5: .standardInput, 6: .standardOutput]))
      try await loop.until("it ends") { recorder.isLost }
      #expect(recorder.text == "yes\n")
    }
  }

  @Test("The environment is the one given and no other, and the program is looked for in its PATH")
  func environment() throws {
    try runProcessLoop { loop, _ in
      let folder = try TemporaryFolder()
      #expect(symlink("/usr/bin/env", folder.path(of: "only-here")) == 0)
      let path = "/nonexistent::\(folder.path):/bin"
      let (_, recorder) = try await loop.subprocessExec(
        { ProcessRecorder() }, "only-here", stdin: .null,
        options: SubprocessOptions(environment: ["PATH": path, "NAME": "a=b ü"]))
      try await loop.until("it ends") { recorder.isLost }
      #expect(recorder.text.split(separator: "\n").sorted() == ["NAME=a=b ü", "PATH=\(path)"])

      let (_, empty) = try await loop.subprocessExec(
        { ProcessRecorder() }, "env", options: SubprocessOptions(environment: [:]))
      try await loop.until("it ends") { empty.isLost }
      #expect(empty.text == "", "without a PATH, the program is looked for in the system's folders")
      let own = try await loop.runShell("echo $HOME")
      #expect(own.text == "\(getenv("HOME").map { String(cString: $0) } ?? "")\n")
    }
  }

  @Test("The working directory; a program with a slash is looked for there")
  func workingDirectory() throws {
    try runProcessLoop { loop, _ in
      let folder = try TemporaryFolder()
      let recorder = try await loop.runShell("pwd -P", options: SubprocessOptions(workingDirectory: folder.path))
      #expect(recorder.text == "\(folder.path)\n")
      #expect(symlink("/bin/pwd", folder.path(of: "script")) == 0)
      let (_, second) = try await loop.subprocessExec(
        { ProcessRecorder() }, "./script", options: SubprocessOptions(workingDirectory: folder.path))
      try await loop.until("it ends") { second.isLost }
      #expect(second.text == "\(folder.path)\n")
    }
  }

  @Test("a new session, a process group of its own, or another's")
  func sessions() throws {
    try runProcessLoop { loop, _ in
      // Fields 5 and 6: the process group and the session.
      let show = "read -r line < /proc/self/stat; set -- $line; echo $1 $5 $6"
      func numbers(_ options: SubprocessOptions) async throws -> [Int32] {
        try await loop.runShell(show, options: options).text.split(whereSeparator: \.isWhitespace).compactMap {
          Int32($0)
        }
      }
      let plain = try await numbers(SubprocessOptions())
      #expect(plain.dropFirst() == [getpgrp(), getsid(0)])
      let session = try await numbers(SubprocessOptions(startNewSession: true))
      #expect(session == [session[0], session[0], session[0]])
      let group = try await numbers(SubprocessOptions(processGroup: 0))
      #expect(group == [group[0], group[0], getsid(0)])
      let (leader, end) = try await loop.subprocessExec(
        { ProcessRecorder() }, "cat", options: SubprocessOptions(processGroup: 0))
      let member = try await numbers(SubprocessOptions(processGroup: leader.pid))
      #expect(member.dropFirst() == [leader.pid, getsid(0)])
      leader.close()
      try await loop.until("it ends") { end.isLost }
    }
  }

  @Test("The file mode mask")
  func umask() throws {
    try runProcessLoop { loop, _ in
      let recorder = try await loop.runShell("umask", options: SubprocessOptions(umask: [.groupReadWriteExecute]))
      #expect(recorder.text == "0070\n")
    }
  }

  @Test("User and groups", .enabled(if: getuid() == 0, "only root may change them"))
  func identity() throws {
    try runProcessLoop { loop, kernel in
      let recorder = try await loop.runShell(
        "id -u; id -g; id -G", options: SubprocessOptions(user: 12345, group: 23456, extraGroups: [34567, 45678]))
      #expect(recorder.text == "12345\n23456\n23456 34567 45678\n")
      #expect(kernel.count(of: .spawnCopying) == 1, "a child of another user does not share our memory")
      #expect(kernel.count(of: .spawn) == 0)
      let none = try await loop.runShell("id -G", options: SubprocessOptions(extraGroups: []))
      #expect(none.text == "0\n")
      #expect(getuid() == 0)
    }
  }
}

/// The masks in a process's status file.
private func signalFields(of status: String) -> [String: UInt64] {
  var fields: [String: UInt64] = [:]
  for line in status.split(separator: "\n") where line.hasPrefix("Sig") {
    let parts = line.split(separator: ":")
    fields[String(parts[0])] = parts.last.flatMap { UInt64($0.filter(\.isHexDigit), radix: 16) }
  }
  return fields
}
