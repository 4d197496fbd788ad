// SPDX-License-Identifier: Apache-2.0
import SystemPackage
import Testing

@testable import AsyncIO

@Suite struct SocketDatagramTests {
  private func boundSocket(_ kernel: TestKernel) throws -> (socket: Socket, address: SocketAddress) {
    let socket = try Socket(.ipv4, .datagram, transportProtocol: 0, kernel: kernel)
    try socket.bind(to: try #require(SocketAddress(ip: "127.0.0.1", port: 0)))
    return (socket, try #require(socket.localAddress))
  }

  @Test("datagrams go both ways with their addresses")
  func addresses() throws {
    try runLoop { loop, kernel in
      let (first, firstAddress) = try boundSocket(kernel)
      let (second, secondAddress) = try boundSocket(kernel)
      let waiting = loop.createTask { try await loop.sockRecvFrom(second, 100).data }
      try await loop.sockSendTo(first, Array("hello".utf8), secondAddress)
      #expect(try await waiting.value == Array("hello".utf8))
      try await loop.sockSendTo(second, Array("back".utf8), firstAddress)
      let (data, sender) = try await loop.sockRecvFrom(first, 2)
      #expect(data == Array("ba".utf8))
      #expect(sender == secondAddress)
    }
  }

  @Test("a limit on the bytes of a buffer")
  func intoBuffer() throws {
    try runLoop { loop, kernel in
      let (first, _) = try boundSocket(kernel)
      let (second, secondAddress) = try boundSocket(kernel)
      var buffer = [UInt8](repeating: 9, count: 8)
      for limit in [3, nil] as [Int?] {
        try await loop.sockSendTo(first, [1, 2, 3, 4, 5], secondAddress)
        let (count, sender) = try await loop.sockRecvFromInto(second, &buffer, maxBytes: limit)
        #expect(count == limit ?? 5)
        #expect(sender == first.localAddress)
        #expect(buffer == (limit == 3 ? [1, 2, 3, 9, 9, 9, 9, 9] : [1, 2, 3, 4, 5, 9, 9, 9]))
      }
      await #expect(throws: EventLoopError.self) {
        try await loop.sockRecvFromInto(second, &buffer, maxBytes: 9)
      }
    }
  }

  @Test("an empty datagram is data, and a send that is blocked waits")
  func emptyAndBlocked() throws {
    try runLoop { loop, kernel in
      let (first, _) = try boundSocket(kernel)
      let (second, secondAddress) = try boundSocket(kernel)
      kernel.inject(.wouldBlock, into: .sendDatagram)
      try await loop.sockSendTo(first, [], secondAddress)
      #expect(kernel.count(of: .sendDatagram) == 2)
      #expect(try await loop.sockRecvFrom(second, 10).data == [])
    }
  }

  @Test("a datagram that is too long is an error with the address")
  func tooLong() throws {
    try runLoop { loop, kernel in
      let (first, address) = try boundSocket(kernel)
      let error = await #expect(throws: IOError.self) {
        try await loop.sockSendTo(first, [UInt8](repeating: 0, count: 65_508), address)
      }
      #expect(error?.description == "sendto \(address): Message too long (EMSGSIZE)")
    }
  }
}
