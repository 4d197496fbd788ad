// SPDX-License-Identifier: Apache-2.0
import Foundation
import Glibc
import SystemPackage
import Testing

@testable import AsyncIO

/// No descriptor of ours is ever there for a child of somebody else's to inherit.
@Suite struct DescriptorBirthTests {
  private let kernel = LinuxKernel.shared

  private func expectCloseOnExec(
    _ descriptors: FileDescriptor?..., sourceLocation: SourceLocation = #_sourceLocation
  ) throws {
    for descriptor in descriptors {
      let descriptor = try #require(descriptor, sourceLocation: sourceLocation)
      #expect(fcntl(descriptor.rawValue, F_GETFD) == FD_CLOEXEC, sourceLocation: sourceLocation)
      try descriptor.close()
    }
  }

  @Test("sockets, also those that were accepted, are close-on-exec from birth") func sockets() throws {
    let pair = try kernel.makeSocketPair(.stream)
    try expectCloseOnExec(pair.0, pair.1)
    let listener = try kernel.makeSocket(.ipv4, .stream, 0)
    try kernel.bind(listener, to: try #require(SocketAddress(ip: "127.0.0.1", port: 0)))
    try kernel.listen(listener, backlog: 1)
    let client = try kernel.makeSocket(.ipv4, .stream, 0)
    try? kernel.connect(client, to: try kernel.localAddress(listener))
    var entry = pollfd(fd: listener.rawValue, events: Int16(POLLIN), revents: 0)
    #expect(poll(&entry, 1, 20_000) == 1)
    try expectCloseOnExec(try kernel.accept(listener).0, listener, client)
  }

  @Test("so is what connects a child, and its pidfd") func children() throws {
    let pipe = try kernel.makePipe()
    let terminal = try kernel.makeTerminal(TerminalSize(rows: 24, columns: 80))
    try expectCloseOnExec(try kernel.duplicate(pipe.reading), pipe.reading, pipe.writing)
    try expectCloseOnExec(try kernel.openNullDevice(), try kernel.makeCounter(), terminal.master, terminal.terminal)
    for sharingMemory in [true, false] {
      let request = ChildRequest(program: "true", paths: ["/bin/true"], arguments: ["true"])
      let child = try kernel.spawn(request, sharingMemory: sharingMemory)
      try kernel.waitForEnd(of: child)
      #expect(try kernel.reap(child) == 0)
      try expectCloseOnExec(child.pidfd)
    }
  }

  @Test("so are a poller's, and all that a loop makes") func loop() async {
    // In a process of its own, where nobody else opens any.
    await #expect(processExitsWith: .success) {
      // Each with what it is of: a number may have been another's a moment before.
      func open() throws -> Set<String> {
        let folder = "/proc/self/fd"
        return Set(
          try FileManager.default.contentsOfDirectory(atPath: folder).compactMap { number in
            let target = try? FileManager.default.destinationOfSymbolicLink(atPath: "\(folder)/\(number)")
            return target.map { "\(number) \($0)" }
          })
      }
      let before = try open()
      let loop = try EventLoop()
      try loop.runUntilComplete { try await loop.sleep(for: .milliseconds(1)) }
      try loop.addSignalHandler(.user1) {}
      let own = try open().subtracting(before).compactMap { $0.split(separator: " ").first.flatMap { Int32($0) } }
      // Three: but one may have a number, and be of a kind, that something of libdispatch's had for a moment.
      #expect(own.count >= 2)
      for descriptor in own { #expect(fcntl(descriptor, F_GETFD) == FD_CLOEXEC) }
      loop.close()
    }
  }
}
