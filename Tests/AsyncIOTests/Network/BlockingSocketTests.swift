// SPDX-License-Identifier: Apache-2.0
import SystemPackage
import Testing

@testable import AsyncIO

@Suite struct BlockingSocketTests {
  @Test("a socket that was set to block waits for data, and for room") func blocks() throws {
    let (first, second) = try Socket.pair()
    try first.setNonBlocking(false)
    let descriptor = second.detachedForThread()
    let thread = TestThread {
      let peer = Socket(adopting: descriptor)
      do {
        try peer.setNonBlocking(false)
        try peer.send([1, 2, 3])
        var taken = 0
        while taken < 1_000_000 { taken += try peer.receive(maxBytes: 65_536).count }
      } catch { Issue.record(error) }
    }
    #expect(try first.receive(maxBytes: 10) == [1, 2, 3])
    var sent = 0
    let bytes = [UInt8](repeating: 7, count: 1_000_000)
    while sent < bytes.count { sent += try first.send(bytes.span.extracting(sent...)) }
    thread.join()
  }

  @Test("one that was not does not") func doesNotBlock() throws {
    let (first, second) = try Socket.pair()
    defer { second.close() }
    let error = #expect(throws: IOError.self) { _ = try first.receive(maxBytes: 1) }
    #expect(error?.code == .wouldBlock)
  }
}

extension Socket {
  fileprivate func detachedForThread() -> FileDescriptor { (try? detach()) ?? descriptor }
}
