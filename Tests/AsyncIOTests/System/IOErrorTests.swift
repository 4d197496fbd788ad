// SPDX-License-Identifier: Apache-2.0
import Glibc
import SystemPackage
import Testing

@testable import AsyncIO

@Suite struct IOErrorTests {
  @Test func sentence() {
    #expect(
      IOError(.connectionRefused, "connect", "127.0.0.1:1").description
        == "connect 127.0.0.1:1: Connection refused (ECONNREFUSED)")
    #expect(IOError(.badFileDescriptor, "recv").description == "recv: Bad file descriptor (EBADF)")
  }

  @Test("a number without a name still reads") func unknownNumber() {
    #expect(IOError(Errno(rawValue: 4095), "recv").description.hasSuffix("(errno 4095)"))
  }

  @Test func attempts() {
    let first = IOError(.connectionRefused, "connect", "[::1]:1")
    let second = IOError(.networkUnreachable, "connect", "10.0.0.1:1")
    let error = IOError(.connectionRefused, "connect", "host:1", attempts: [first, second])
    #expect(
      error.description == "connect host:1: every address failed: connect [::1]:1: Connection refused (ECONNREFUSED); "
        + "connect 10.0.0.1:1: Network is unreachable (ENETUNREACH)")
    #expect(error != IOError(.connectionRefused, "connect", "host:1"))
  }

  @Test func resolution() {
    #expect(
      ResolutionError(code: EAI_NONAME, message: "Name or service not known", subject: "nowhere:80").description
        == "getaddrinfo nowhere:80: Name or service not known (-2)")
  }

  @Test("the kernel's calls throw the number as it is") func systemCallThrows() throws {
    #expect(throws: Errno.badFileDescriptor) { try LinuxKernel.shared.localAddress(FileDescriptor(rawValue: -1)) }
    #expect(throws: IOError(.addressFamilyNotSupported, "socket")) { try Socket(AddressFamily(rawValue: 9999)) }
  }

  /// A call that a signal interrupts so many times.
  private final class Interrupted {
    var left: Int
    init(times: Int) { left = times }

    func call() -> Int32 {
      guard left > 0 else { return 7 }
      left -= 1
      errno = EINTR
      return -1
    }
  }

  @Test("a call that a signal interrupted is made again") func retriesInterrupted() throws {
    let call = Interrupted(times: 3)
    #expect(try systemCall(call.call) == 7)
    #expect(call.left == 0)
    let once = Interrupted(times: 3)
    #expect(throws: Errno.interrupted) { try systemCallOnce(once.call) }
    #expect(once.left == 2)
  }

  @Test("descriptors are close-on-exec and non-blocking from birth") func descriptorFlags() throws {
    let kernel = LinuxKernel.shared
    let listener = try kernel.makeSocket(.ipv4, .stream, 0)
    defer { try? listener.close() }
    try kernel.bind(listener, to: try #require(SocketAddress(ip: "127.0.0.1", port: 0)))
    try kernel.listen(listener, backlog: 1)
    let client = try kernel.makeSocket(.ipv4, .stream, 0)
    defer { try? client.close() }
    let address = try kernel.localAddress(listener)
    // Throws that it is in progress, as a rule.
    try? kernel.connect(client, to: address)
    var wait = pollfd(fd: listener.rawValue, events: Int16(POLLIN), revents: 0)
    #expect(poll(&wait, 1, 10_000) == 1)
    let accepted = try kernel.accept(listener).0
    defer { try? accepted.close() }
    let pair = try kernel.makeSocketPair(.stream)
    let counter = try kernel.makeCounter()
    defer { for descriptor in [pair.0, pair.1, counter] { try? descriptor.close() } }
    for descriptor in [listener, client, accepted, pair.0, pair.1, counter] {
      #expect(fcntl(descriptor.rawValue, F_GETFD) & FD_CLOEXEC != 0)
      #expect(fcntl(descriptor.rawValue, F_GETFL) & O_NONBLOCK != 0)
    }
  }
}
