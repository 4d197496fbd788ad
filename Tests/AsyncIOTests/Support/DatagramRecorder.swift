// SPDX-License-Identifier: Apache-2.0
import SystemPackage
import Testing

@testable import AsyncIO

/// A datagram protocol that writes down what it is told, and does what the test wants in answer.
final class DatagramRecorder: DatagramProtocol {
  enum Call: Equatable {
    case made, datagram, pause, resume
    case error(Errno?)
    case lost(Errno?)
  }

  struct Datagram: Equatable {
    var bytes: [UInt8]
    var sender: SocketAddress
  }

  private(set) var calls: [Call] = []
  private(set) var datagrams: [Datagram] = []
  private(set) var errors: [any Error] = []
  /// What `connectionLost` was told; outer nil before.
  private(set) var loss: (any Error)??
  /// Kept after the end, to try what a program might.
  private(set) var kept: DatagramTransport?

  var onMade: ((DatagramTransport) throws -> Void)?
  var onDatagram: ((Datagram) throws -> Void)?
  var onError: ((any Error) throws -> Void)?
  var onPause: (() throws -> Void)?
  var onResume: (() throws -> Void)?
  var onLost: (() throws -> Void)?

  var transport: DatagramTransport { kept! }
  var address: SocketAddress { kept!.localAddress! }
  var isLost: Bool { loss != nil }
  var lossCount: Int { calls.count { if case .lost = $0 { true } else { false } } }
  var texts: [String] { datagrams.map { String(decoding: $0.bytes, as: UTF8.self) } }
  var ioErrors: [IOError] { errors.compactMap { $0 as? IOError } }

  func connectionMade(_ transport: DatagramTransport) throws {
    calls.append(.made)
    kept = transport
    try onMade?(transport)
  }

  func datagramReceived(_ data: Span<UInt8>, from sender: SocketAddress) throws {
    calls.append(.datagram)
    let datagram = Datagram(bytes: [UInt8](copying: data), sender: sender)
    datagrams.append(datagram)
    try onDatagram?(datagram)
  }

  func errorReceived(_ error: any Error) throws {
    calls.append(.error((error as? IOError)?.code))
    errors.append(error)
    try onError?(error)
  }

  func pauseWriting() throws {
    calls.append(.pause)
    try onPause?()
  }

  func resumeWriting() throws {
    calls.append(.resume)
    try onResume?()
  }

  func connectionLost(_ error: (any Error)?) throws {
    calls.append(.lost((error as? IOError)?.code))
    loss = .some(error)
    defer {
      (onMade, onDatagram, onError) = (nil, nil, nil)
      (onPause, onResume, onLost) = (nil, nil, nil)
    }
    try onLost?()
  }

  /// Lets go of the transport, which may be asked for no more.
  func forgetTransport() { kept = nil }
}

extension EventLoop {
  /// An endpoint on a port of the kernel's choice, open to all.
  func openEndpoint(
    _ recorder: DatagramRecorder = DatagramRecorder(), host: String = "127.0.0.1"
  ) async throws -> DatagramRecorder {
    try await createDatagramEndpoint({ recorder }, localAddress: (host, 0)).protocol
  }

  /// An endpoint that is connected to another.
  func connectedEndpoint(
    _ recorder: DatagramRecorder = DatagramRecorder(), to peer: DatagramRecorder
  ) async throws -> DatagramRecorder {
    try await connectedEndpoint(recorder, to: peer.address)
  }

  /// An endpoint that is connected to an address.
  func connectedEndpoint(
    _ recorder: DatagramRecorder = DatagramRecorder(), to address: SocketAddress
  ) async throws -> DatagramRecorder {
    let remote = (try #require(address.host), Int(try #require(address.port)))
    return try await createDatagramEndpoint({ recorder }, remoteAddress: remote).protocol
  }

  /// A bound endpoint, and one that is connected to it.
  func endpointPair() async throws -> (server: DatagramRecorder, client: DatagramRecorder) {
    let server = try await openEndpoint()
    return (server, try await connectedEndpoint(to: server))
  }

  /// Closes endpoints and waits for their ends.
  func close(_ recorders: DatagramRecorder...) async throws {
    for recorder in recorders { recorder.transport.close() }
    try await until("the endpoints end") { recorders.allSatisfy(\.isLost) }
  }
}

/// A port where datagrams are refused. Its socket is connected to itself, and so takes nothing from others; a port that was
/// merely closed might be given to another test meanwhile.
struct RefusingPort {
  private let socket: Socket
  let address: SocketAddress

  init(_ host: String = "127.0.0.1") throws {
    socket = try Socket(host.contains(":") ? .ipv6 : .ipv4, .datagram)
    try socket.bind(to: try #require(SocketAddress(ip: host, port: 0)))
    address = try #require(socket.localAddress)
    try socket.connect(to: address)
  }

  func close() { socket.close() }
}
