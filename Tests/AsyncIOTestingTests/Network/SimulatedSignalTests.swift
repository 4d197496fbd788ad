// SPDX-License-Identifier: Apache-2.0
import AsyncIO
import AsyncIOTesting
import SimulationFixtures
import Testing

@Suite struct SimulatedSignalTests {
  @Test("A handler runs once for each signal, in order, on its own host; without it the signal does what it does")
  func handlers() async throws {
    try await explore(seeds: 0..<20) { network in
      let hosts = [network.host("one"), network.host("other")]
      var got: [String] = []
      for host in hosts {
        host.start { loop in
          try loop.addSignalHandler(.terminate) { got.append("\(host.name) TERM") }
          try loop.addSignalHandler(.user1) { got.append("\(host.name) USR1") }
          try await loop.sleep(for: .seconds(1))
          try loop.removeSignalHandler(.user1)
          try await Event(loop).wait()
        }
      }
      try await network.loop.sleep(for: .milliseconds(1))
      for signal in [Signal.terminate, .user1, .user1, .terminate, .childChanged, .windowChanged] {
        hosts[0].raise(signal)
      }
      try await network.loop.waitAllTasksBlocked()
      guard got == ["one TERM", "one USR1", "one USR1", "one TERM"] else { throw Violation(description: "\(got)") }
      try await network.loop.sleep(for: .seconds(2))
      let before = hosts[0].loop
      hosts[0].raise(.user1)
      guard hosts[0].loop !== before, hosts[0].isUp else { throw Violation(description: "the process goes on") }
      hosts[1].raise(.terminate)
      try await network.loop.waitAllTasksBlocked()
      guard got.last == "other TERM", got.count == 5 else { throw Violation(description: "\(got)") }
    }
  }

  @Test(
    "SIGTERM cancels the programs, which take their time, then the tasks that are left; and then the process is over")
  func termination() async throws {
    try await withSimulatedNetwork(seed: 1) { network in
      let (server, client) = (network.host("server"), network.host("client"))
      var steps: [String] = []
      try await server.run { loop in
        let server = try await loop.startServer(port: 7) { _, _ in try await Event(loop).wait() }
        loop.createTask {
          do { try await server.serveForever() } catch {
            steps.append("a task that was left")
            throw error
          }
        }
      }
      func startProgram() {
        server.start { loop in
          do { try await Event(loop).wait() } catch {
            try await loop.withCancellationShield { try await loop.sleep(for: .seconds(3)) }
            steps.append("the program")
          }
        }
      }
      startProgram()
      try await client.run { loop in
        let peer = try await loop.connectPeer(host: "server", port: 7)
        let begin = loop.time
        let process = server.loop
        server.raise(.terminate)
        try await peer.expectEnd()
        #expect(server.loop !== process)
        #expect(steps == ["the program", "a task that was left"])
        #expect(begin.duration(to: loop.time) >= .seconds(3))
        await expectIOError(.connectionRefused) { _ = try await loop.connectPeer(host: "server", port: 7) }
        peer.close()
      }
      #expect(server.isUp)
      // The next process is given its time as well.
      startProgram()
      try await network.loop.sleep(for: .seconds(1))
      server.raise(.terminate)
      try await network.loop.sleep(for: .seconds(5))
      #expect(steps == ["the program", "a task that was left", "the program"])
    }
  }

  @Test(
    "A process that is ended at once leaves its connections to the kernel, which tells the others, and files of sockets",
    arguments: [[Signal.kill], [.hangUp], [.interrupt, .terminate]])
  func killed(_ signals: [Signal]) async throws {
    try await withSimulatedNetwork(seed: 1) { network in
      let (server, client) = (network.host("server"), network.host("client"))
      var ticks = 0
      let serving = server.start { loop in
        _ = try await loop.startUnixServer(path: "/run/socket") { _, _ in }
        _ = try loop.servePeers(host: "0.0.0.0", port: 7) { peer in
          try await peer.expect("x")
          try await Event(loop).wait()
        }
        loop.createTask { for try await _ in loop.every(.seconds(1)) { ticks += 1 } }
        try await loop.withCancellationShield { try await Event(loop).wait() }
      }
      try await client.run { loop in
        try await loop.sleep(for: .milliseconds(1))
        let read = try await loop.connectPeer(host: "server", port: 7)
        let unread = try await loop.connectPeer(host: "server", port: 7)
        try await read.send("x")
        try await unread.send("xyz")
        try await loop.sleep(for: .milliseconds(1500))
        for signal in signals { server.raise(signal) }
        try await read.expectEnd()
        await expectIOError(.connectionReset) { _ = try await unread.receive() }
        try await loop.sleep(for: .seconds(5))
        #expect(ticks == 1)
        read.close()
        unread.close()
      }
      #expect(!serving.isDone)
      try await server.run { loop in
        await expectIOError(.connectionRefused) { _ = try await loop.openUnixConnection(path: "/run/socket") }
        try await loop.startUnixServer(path: "/run/socket") { _, _ in }.close()
        try await loop.startServer(port: 7) { _, _ in }.close()
      }
    }
  }

  @Test("Who awaits a program is told when a signal has ended its process")
  func awaitedProgram() async throws {
    try await withSimulatedNetwork(seed: 1) { network in
      let host = network.host("host")
      network.loop.callLater(.seconds(1)) { host.raise(.kill) }
      let error = await #expect(throws: SimulationError.self) {
        try await host.run { loop in try await Event(loop).wait() }
      }
      #expect(error?.code == .crashed)
      #expect(error?.description == "the process on host was ended by SIGKILL (Killed)")
    }
  }

  @Test(
    "A process that is stopped stands still, while its kernel takes what comes; it goes on with the signals that came")
  func stopped() async throws {
    try await withEchoServer { network, server, client, loop in
      let (reader, writer) = try await loop.openConnection(host: "server", port: 7)
      try await loop.sleep(for: .seconds(1))
      var (hangUps, timers) = (0, 0)
      try server.loop.addSignalHandler(.hangUp) { hangUps += 1 }
      server.loop.callLater(.seconds(10)) { timers += 1 }
      server.raise(.stop)
      server.raise(.hangUp)
      try await writer.send("hello\n")
      await #expect(throws: TimeoutError.self) {
        try await loop.withTimeout(.seconds(60)) { _ = try await reader.readLine() }
      }
      #expect(hangUps == 0 && timers == 0)
      server.raise(.continue)
      #expect(try await reader.readLine() == Array("hello\n".utf8))
      #expect(hangUps == 1 && timers == 1)
      writer.close()
      // At the end of the test it is no obstacle.
      server.raise(.terminalStop)
    }
  }

  @Test("What would end a process that is stopped does so when that goes on; SIGKILL does not wait")
  func endOfStopped() async throws {
    try await withSimulatedNetwork(seed: 1) { network in
      for signals in [[Signal.hangUp], [.hangUp, .kill]] {
        let host = network.host("\(signals.count)")
        let loop = host.loop
        host.raise(.stop)
        for signal in signals { host.raise(signal) }
        #expect((host.loop === loop) == (signals.count == 1))
        host.raise(.continue)
        #expect(host.loop !== loop)
        // What came for the process that is over is not the next one's.
        let next = host.loop
        host.raise(.stop)
        host.raise(.continue)
        #expect(host.loop === next)
      }
    }
  }

  @Test("A deadlock for want of a process that is stopped says so")
  func stoppedForEver() async throws {
    let error = await #expect(throws: SimulationError.self) {
      try await withEchoServer { network, server, client, loop in
        let (reader, writer) = try await loop.openConnection(host: "server", port: 7)
        server.raise(.stop)
        try await writer.send("hello\n")
        _ = try await reader.readLine()
      }
    }
    #expect(error?.code == .deadlock)
    #expect(error?.description.contains("on server, whose process is stopped:") == true)
  }

  @Test(
    "On a loop of its own a test raises signals too; one that nobody handles cancels the test, if it ends processes")
  func testLoop() async throws {
    let got = try await withTestLoop { loop in
      var got = 0
      try loop.addSignalHandler(.user1) { got += 1 }
      loop.raise(.user1)
      loop.raise(.childChanged)
      try await loop.waitAllTasksBlocked()
      return got
    }
    #expect(got == 1)
    for signal in [Signal.terminate, .kill, .user2] {
      await #expect(throws: CancellationError.self) {
        try await withTestLoop { loop in
          loop.raise(signal)
          try await loop.sleep(for: .seconds(1))
        }
      }
    }
  }
}
