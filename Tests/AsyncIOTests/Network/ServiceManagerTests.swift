// SPDX-License-Identifier: Apache-2.0
import SystemPackage
import Testing

@testable import AsyncIO

@Suite struct ServiceManagerTests {
  // MARK: Notifications

  @Test("Without a manager nothing happens, and the answer says so", arguments: [[:], ["NOTIFY_SOCKET": ""]])
  func noManager(variables: [String: String]) throws {
    try runLoop { (loop, kernel) async throws in
      kernel.environment.withLock { $0 = variables }
      #expect(try await !loop.notifyServiceManager(.ready, .status("here")))
      #expect(kernel.count(of: .makeSocket) == 0)
    }
  }

  @Test("All that is told at once is one message, at a path and at an abstract name", arguments: [false, true])
  func messages(isAbstract: Bool) throws {
    try runLoop { (loop, kernel) async throws in
      let manager = try Manager(kernel, isAbstract: isAbstract)
      kernel.stopClock()
      let microseconds = kernel.monotonicNanoseconds() / 1000
      #expect(try await loop.notifyServiceManager(.ready, .status("serving 7 clients")))
      #expect(try await loop.notifyServiceManager(.reloading))
      try await loop.notifyServiceManager(.stopping, .failure(.noMemory))
      try await loop.notifyServiceManager(.watchdog, .mainProcess(4711), .extendTimeout(.seconds(3)))
      #expect(try await !loop.notifyServiceManager(), "nothing is no message")
      #expect(
        try manager.messages() == [
          "READY=1\nSTATUS=serving 7 clients", "RELOADING=1\nMONOTONIC_USEC=\(microseconds)", "STOPPING=1\nERRNO=12",
          "WATCHDOG=1\nMAINPID=4711\nEXTEND_TIMEOUT_USEC=3000000",
        ])
    }
  }

  @Test(
    "A status is one line, whatever is in it, and is cut off between two characters",
    arguments: [
      ("a\nMAINPID=1\r\n\0b\u{85}", "a MAINPID=1   b "), ("", ""),
      (String(repeating: "ü", count: 513), String(repeating: "ü", count: 512)),
      ("x" + String(repeating: "ü", count: 512), "x" + String(repeating: "ü", count: 511)),
    ])
  func statusText(text: String, told: String) throws {
    try runLoop { (loop, kernel) async throws in
      let manager = try Manager(kernel)
      try await loop.notifyServiceManager(.status(text))
      #expect(try manager.messages() == ["STATUS=" + told])
    }
  }

  @Test("A message that no manager would read is an error, and is not sent")
  func tooLong() throws {
    try runLoop { (loop, kernel) async throws in
      let manager = try Manager(kernel)
      let long = ServiceNotification.status(String(repeating: "s", count: 2000))
      await #expect(throws: EventLoopError.invalidArgument) {
        try await loop.notifyServiceManager(long, long, long, long)
      }
      #expect(try manager.messages() == [])
    }
  }

  @Test("A manager whose queue is full is waited for, and the loop goes on meanwhile")
  func fullQueue() throws {
    try runLoop { loop, kernel in
      let manager = try Manager(kernel)
      try manager.fill()
      let task = loop.createTask { try await loop.notifyServiceManager(.ready) }
      let cancelled = loop.createTask { try await loop.notifyServiceManager(.stopping) }
      try await loop.turn(50)
      #expect(!task.isDone && !cancelled.isDone)
      cancelled.cancel()
      await #expect(throws: CancellationError.self) { try await cancelled.value }
      _ = try manager.messages()
      #expect(try await task.value)
      #expect(try manager.messages() == ["READY=1"])
    }
  }

  @Test("A manager that is not there, or no address of one, is an error with its name")
  func noAddress() throws {
    try runLoop { (loop, kernel) async throws in
      let folder = try TemporaryFolder()
      kernel.environment.withLock { $0 = ["NOTIFY_SOCKET": folder.path(of: "gone")] }
      let error = await #expect(throws: IOError.self) { try await loop.notifyServiceManager(.ready) }
      #expect(error == IOError(.noSuchFileOrDirectory, "connect", folder.path(of: "gone")))
      for name in ["relative", "vsock:2:1234", "/" + String(repeating: "n", count: 108)] {
        kernel.environment.withLock { $0 = ["NOTIFY_SOCKET": name] }
        let error = await #expect(throws: EventLoopError.self) { try await loop.notifyServiceManager(.ready) }
        #expect(error?.code == .invalidEnvironment)
        #expect(error?.description == "NOTIFY_SOCKET is \"\(name)\", which is no unix socket's address")
      }
    }
  }

  @Test("A failure on the way leaves nothing open")
  func failures() throws {
    try runLoop { (loop, kernel) async throws in
      let manager = try Manager(kernel)
      for call: TestKernel.Call in [.makeSocket, .connect, .sendDatagram] {
        kernel.inject(.noMemory, into: call)
        let error = await #expect(throws: IOError.self) { try await loop.notifyServiceManager(.ready) }
        #expect(error?.code == .noMemory)
      }
      #expect(try manager.messages() == [])
    }
  }

  // MARK: Watchdog

  @Test(
    "The watchdog's interval is the environment's, if it is for this process",
    arguments: [
      ([:], nil), (["WATCHDOG_USEC": "1500000"], .milliseconds(1500)),
      (["WATCHDOG_USEC": "20", "WATCHDOG_PID": "own"], .microseconds(20)),
      (["WATCHDOG_USEC": "20", "WATCHDOG_PID": "1"], nil), (["WATCHDOG_PID": "own"], nil),
    ] as [([String: String], Duration?)])
  func interval(variables: [String: String], interval: Duration?) throws {
    try runLoop { (loop, kernel) async throws in
      kernel.environment.withLock { $0 = variables.mapValues { $0 == "own" ? "\(ownProcessID())" : $0 } }
      #expect(try loop.serviceWatchdogInterval() == interval)
    }
  }

  @Test(
    "An interval that is none is an error",
    arguments: [
      ["WATCHDOG_USEC": "0"], ["WATCHDOG_USEC": "-5"], ["WATCHDOG_USEC": "soon"],
      ["WATCHDOG_USEC": "9223372036854775808"], ["WATCHDOG_USEC": "5", "WATCHDOG_PID": "me"],
    ])
  func noInterval(variables: [String: String]) throws {
    try runLoop { (loop, kernel) async throws in
      kernel.environment.withLock { $0 = variables }
      #expect(throws: EventLoopError.invalidEnvironment) { try loop.serviceWatchdogInterval() }
    }
  }

  // MARK: A predecessor

  @Test("A predecessor hears of the first readiness, and of nothing else")
  func predecessor() throws {
    try runLoop { (loop, kernel) async throws in
      let (ours, theirs) = try kernel.makeSocketPair(.stream)
      let predecessor = Socket(adopting: ours, kernel: kernel)
      let variables = ["LISTEN_PID": "\(ownProcessID())", "ASYNCIO_READY_FD": "\(theirs.rawValue)"]
      kernel.environment.withLock { $0 = variables }
      #expect(try await !loop.notifyServiceManager(.status("not yet")))
      #expect(try await loop.notifyServiceManager(.status("now"), .ready))
      #expect(try await !loop.notifyServiceManager(.ready))
      #expect(try predecessor.receive(maxBytes: 10) == [1])
      #expect(try predecessor.receive(maxBytes: 10) == [], "the channel is closed")
    }
  }

  @Test("A predecessor hears of it although the manager cannot be told")
  func predecessorWithoutManager() throws {
    try runLoop { (loop, kernel) async throws in
      let (ours, theirs) = try kernel.makeSocketPair(.stream)
      let predecessor = Socket(adopting: ours, kernel: kernel)
      kernel.environment.withLock {
        $0 = [
          "LISTEN_PID": "\(ownProcessID())", "ASYNCIO_READY_FD": "\(theirs.rawValue)", "NOTIFY_SOCKET": "/nonexistent",
        ]
      }
      await #expect(throws: IOError.self) { try await loop.notifyServiceManager(.ready) }
      #expect(try predecessor.receive(maxBytes: 10) == [1])
    }
  }

  @Test("A predecessor that has gone is nobody to tell, and another process's is none of ours")
  func noPredecessor() throws {
    try runLoop { (loop, kernel) async throws in
      let (ours, theirs) = try kernel.makeSocketPair(.stream)
      try kernel.close(ours)
      kernel.environment.withLock { $0 = ["LISTEN_PID": "1", "ASYNCIO_READY_FD": "\(theirs.rawValue)"] }
      #expect(try await !loop.notifyServiceManager(.ready))
      #expect(kernel.openDescriptors.contains(theirs.rawValue))
      kernel.environment.withLock { $0["LISTEN_PID"] = "\(ownProcessID())" }
      #expect(try await !loop.notifyServiceManager(.ready))
    }
  }

  @Test("A channel to a predecessor that is none is an error", arguments: ["none", "-1", "file"])
  func noChannel(kind: String) throws {
    try runLoop { (loop, kernel) async throws in
      let folder = try TemporaryFolder()
      let file = try folder.file([1])
      defer { try? file.close() }
      let value = kind == "file" ? "\(file.rawValue)" : kind
      kernel.environment.withLock { $0 = ["LISTEN_PID": "\(ownProcessID())", "ASYNCIO_READY_FD": value] }
      await #expect(throws: EventLoopError.invalidEnvironment) { try await loop.notifyServiceManager(.ready) }
      try file.writeAll([2])
    }
  }
}

/// Who listens at `NOTIFY_SOCKET`.
private struct Manager {
  private let socket: Socket
  private let address: SocketAddress
  private let folder: TemporaryFolder
  private let kernel: TestKernel

  init(_ kernel: TestKernel, isAbstract: Bool = false) throws {
    self.kernel = kernel
    folder = try TemporaryFolder()
    let path = folder.path(of: "notify")
    address = try #require(SocketAddress(unixPath: isAbstract ? "\0" + path : path))
    socket = Socket(adopting: try LinuxKernel.shared.makeSocket(.unix, .datagram, 0))
    try socket.bind(to: address)
    kernel.environment.withLock { $0 = ["NOTIFY_SOCKET": isAbstract ? "@" + path : path] }
  }

  /// Sends itself messages until there is room for no more.
  func fill() throws {
    do {
      while true { try socket.send(datagram: Array("filled".utf8), to: address) }
    } catch {
      try #require(error.code == .wouldBlock)
    }
  }

  /// What was told since, as far as it has arrived.
  func messages() throws -> [String] {
    var messages: [String] = []
    var buffer = [UInt8](repeating: 0, count: 65536)
    while true {
      do {
        let (count, _) = try socket.receiveDatagram(into: &buffer)
        messages.append(String(decoding: buffer.prefix(count), as: UTF8.self))
      } catch {
        try #require(error.code == .wouldBlock)
        return messages
      }
    }
  }
}
