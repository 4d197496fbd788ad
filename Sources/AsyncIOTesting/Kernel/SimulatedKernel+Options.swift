// SPDX-License-Identifier: Apache-2.0
import AsyncIO
import SystemPackage

extension SimulatedKernel {
  func localAddress(_ descriptor: FileDescriptor) throws(Errno) -> SocketAddress {
    let socket: SimulatedSocket = try file(descriptor)
    if let address = socket.localAddress { return address }
    if socket.family == .unix { return .unnamed }
    guard let any = SocketAddress(ip: socket.family == .ipv4 ? "0.0.0.0" : "::", port: 0) else {
      throw .addressFamilyNotSupported
    }
    return any
  }

  func remoteAddress(_ descriptor: FileDescriptor) throws(Errno) -> SocketAddress {
    let socket: SimulatedSocket = try file(descriptor)
    guard let address = socket.peerAddress else { throw .socketNotConnected }
    return address
  }

  func option(_ descriptor: FileDescriptor, level: Int32, name: Int32) throws(Errno) -> Int32 {
    try enter(.option, descriptor)
    let socket: SimulatedSocket = try file(descriptor)
    let key = SimulatedSocket.OptionName(level, name)
    switch key {
    case .init(SocketOption<Int32>.socketKind): return socket.socketKind.rawValue
    case .init(SocketOption<Int32>.socketFamily): return socket.family.rawValue
    case .init(SocketOption<Int32>.pendingError): return socket.takeError()?.rawValue ?? 0
    case .init(SocketOption<Bool>.acceptsConnections): return socket.isListening ? 1 : 0
    case .init(SocketOption<Int32>.sendBufferSize), .init(SocketOption<Int32>.receiveBufferSize):
      return socket.options[key] ?? Int32(clamping: host.socketBufferSize)
    default: return socket.options[key] ?? 0
    }
  }

  func setOption(_ descriptor: FileDescriptor, level: Int32, name: Int32, _ value: Int32) throws(Errno) {
    try enter(.setOption, descriptor)
    let socket: SimulatedSocket = try file(descriptor)
    let key = SimulatedSocket.OptionName(level, name)
    socket.options[key] = value
    if key == .init(SocketOption<Int32>.sendBufferSize), let stream = socket as? StreamSocket {
      stream.end?.outgoing.capacity = max(1, Int(value))
    }
  }

  func option(
    _ descriptor: FileDescriptor, level: Int32, name: Int32, into buffer: inout MutableSpan<UInt8>
  ) throws(Errno) -> Int {
    let socket: SimulatedSocket = try file(descriptor)
    guard SimulatedSocket.OptionName(level, name) == .init(SocketOption<Int32>.linger) else {
      throw .protocolNotAvailable
    }
    return buffer.copyPrefix(of: LingerValue.bytes(socket.linger).span)
  }

  func setOption(_ descriptor: FileDescriptor, level: Int32, name: Int32, _ value: Span<UInt8>) throws(Errno) {
    try enter(.setOption, descriptor)
    let socket: SimulatedSocket = try file(descriptor)
    guard SimulatedSocket.OptionName(level, name) == .init(SocketOption<Int32>.linger) else {
      throw .protocolNotAvailable
    }
    socket.linger = LingerValue.seconds(value)
  }
}
