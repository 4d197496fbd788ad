// SPDX-License-Identifier: Apache-2.0
import AsyncIO
import Dispatch
import Glibc
import Measuring

/// A server whose connections are closed all at once.
enum ClosedConnections {
  /// The longest iteration of the loop in milliseconds, from the close of them all until the last has ended.
  static func longestTick(_ number: Int) throws -> Double {
    try EventLoop.run { loop in
      let server = try await loop.createServer({ Silent() }, host: "127.0.0.1", port: 0, backlog: 1000)
      let port = UInt16(server.port)
      let peers = try await loop.runInExecutor { (0..<number).map { _ in connect(port) } }
      while server.connectionCount < number { try await loop.sleep(for: .milliseconds(1)) }
      let ticks = Ticks(loop)
      server.closeClients()
      while server.connectionCount > 0 { try await loop.sleep(for: .zero) }
      let longest = ticks.stop()
      server.close()
      try await loop.runInExecutor { for peer in peers { close(peer) } }
      return longest
    }
  }

  private static func connect(_ port: UInt16) -> Int32 {
    let peer = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
    var address = sockaddr_in()
    address.sin_family = sa_family_t(AF_INET)
    address.sin_port = port.bigEndian
    address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
    let status = withUnsafePointer(to: &address) { pointer in
      pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
        Glibc.connect(peer, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
      }
    }
    precondition(status == 0, "a connection was refused; is the limit of open files too low?")
    return peer
  }

  private final class Silent: StreamProtocol {}
}

/// How long iterations take.
private final class Ticks {
  private let loop: EventLoop
  private var last = Spent.now.wall
  private var longest = 0.0
  private var isStopped = false

  init(_ loop: EventLoop) {
    self.loop = loop
    tick()
  }

  private func tick() {
    let now = Spent.now.wall
    longest = max(longest, now - last)
    last = now
    if !isStopped { loop.callSoon { self.tick() } }
  }

  /// The longest iteration so far, in milliseconds.
  func stop() -> Double {
    tick()
    isStopped = true
    return longest / 1e6
  }
}
