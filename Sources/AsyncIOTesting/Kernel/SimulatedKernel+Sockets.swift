// SPDX-License-Identifier: Apache-2.0
import AsyncIO
import SystemPackage

extension SimulatedKernel {
  func makeSocket(_ family: AddressFamily, _ kind: SocketKind, _ transportProtocol: Int32) throws(Errno)
    -> FileDescriptor
  {
    try enter(.socket, nil)
    guard [.ipv4, .ipv6, .unix].contains(family) else { throw .addressFamilyNotSupported }
    let descriptor: FileDescriptor
    switch kind {
    case .stream: descriptor = try open(StreamSocket(self, family))
    case .datagram: descriptor = try open(DatagramSocket(self, family))
    default: throw .socketTypeNotSupported
    }
    note(.socket, Int64(descriptor.rawValue), Int64(family.rawValue))
    return descriptor
  }

  func makeSocketPair(_ kind: SocketKind) throws(Errno) -> (FileDescriptor, FileDescriptor) {
    try enter(.socketPair, nil)
    guard kind == .stream else { throw .notSupported }
    let sockets = (StreamSocket(self, .unix), StreamSocket(self, .unix))
    let first = try open(sockets.0)
    let second: FileDescriptor
    do throws(Errno) { second = try open(sockets.1) } catch {
      try close(first)
      throw error
    }
    let ends = StreamEnd.pair(
      world, nil, .unnamed, .unnamed, capacities: (host.socketBufferSize, host.socketBufferSize))
    sockets.0.adopt(ends.0)
    sockets.1.adopt(ends.1)
    return (first, second)
  }

  func bind(_ descriptor: FileDescriptor, to address: SocketAddress) throws(Errno) {
    try enter(.bind, descriptor)
    let socket: SimulatedSocket = try file(descriptor)
    try socket.bind(to: address)
    note(.bind, Int64(descriptor.rawValue), Int64(socket.localAddress?.port ?? 0))
  }

  func listen(_ descriptor: FileDescriptor, backlog: Int32) throws(Errno) {
    try enter(.listen, descriptor)
    let socket: StreamSocket = try file(descriptor)
    try socket.listen(backlog: backlog)
    note(.listen, Int64(descriptor.rawValue), Int64(backlog))
  }

  func connect(_ descriptor: FileDescriptor, to address: SocketAddress) throws(Errno) {
    try enter(.connect, descriptor)
    note(.connect, Int64(descriptor.rawValue), Int64(address.port ?? 0))
    let socket: SimulatedSocket = try file(descriptor)
    if let socket = socket as? DatagramSocket { return try socket.connect(to: address) }
    guard let socket = socket as? StreamSocket else { throw .notSocket }
    try socket.connect(to: address)
  }

  func accept(_ descriptor: FileDescriptor) throws(Errno) -> (FileDescriptor, SocketAddress?) {
    let listener: StreamSocket = try file(descriptor)
    // Nothing is refused where nothing is asked for.
    if case .listening(let queue) = listener.phase, queue.isEmpty { throw .wouldBlock }
    try enter(.accept, descriptor)
    let socket = StreamSocket(self, listener.family)
    let accepted = try open(socket)
    do throws(Errno) {
      let end = try listener.accept()
      socket.adopt(end)
      note(.accept, Int64(descriptor.rawValue), Int64(accepted.rawValue))
      return (accepted, end.remoteAddress)
    } catch {
      try close(accepted)
      throw error
    }
  }

  func shutdownWrite(_ descriptor: FileDescriptor) throws(Errno) {
    try enter(.shutdown, descriptor)
    note(.shutdown, Int64(descriptor.rawValue))
    try connection(descriptor).shutdownWrite()
  }

  private func connection(_ descriptor: FileDescriptor) throws(Errno) -> StreamEnd {
    let socket: StreamSocket = try file(descriptor)
    if let error = socket.end == nil ? socket.takeError() : nil { throw error }
    guard let end = socket.end else { throw .socketNotConnected }
    return end
  }

  // MARK: Bytes

  func receive(_ descriptor: FileDescriptor, into buffer: inout MutableSpan<UInt8>) throws(Errno) -> Int {
    try enter(.receive, descriptor)
    let file: OpenFile = try file(descriptor)
    if file is DatagramSocket { return try receiveFrom(descriptor, into: &buffer).count }
    let end = try connection(descriptor)
    mayBreak(end)
    let count = try end.receive(into: &buffer)
    note(.receive, Int64(descriptor.rawValue), Int64(count))
    return count
  }

  /// The network may break a stream at any time; that is seen when it is used.
  private func mayBreak(_ end: StreamEnd) {
    if host.network?.faults.resets() == true {
      note(.reset)
      end.reset()
    }
  }

  func hasUnreadBytes(_ descriptor: FileDescriptor) -> Bool {
    (try? connection(descriptor))?.hasUnreadBytes == true
  }

  func send(_ descriptor: FileDescriptor, _ bytes: Span<UInt8>) throws(Errno) -> Int {
    try enter(.send, descriptor)
    let end = try connection(descriptor)
    mayBreak(end)
    let count = try end.send(bytes)
    note(.send, Int64(descriptor.rawValue), Int64(count))
    return count
  }

  func send(_ descriptor: FileDescriptor, gathering chunks: [[UInt8]], skipping: Int) throws(Errno) -> Int {
    try send(descriptor, joined(chunks, skipping).span)
  }

  private func joined(_ chunks: [[UInt8]], _ skipping: Int) -> [UInt8] {
    var bytes: [UInt8] = []
    bytes.reserveCapacity(chunks.reduce(0) { $0 + $1.count } - skipping)
    for (index, chunk) in chunks.enumerated() {
      if index == 0 { bytes += chunk[skipping...] } else { bytes += chunk }
    }
    return bytes
  }

  // MARK: Pipes

  func makePipe() throws(Errno) -> (reading: FileDescriptor, writing: FileDescriptor) {
    try enter(.pipe, nil)
    let ends = PipeFile.pair(self)
    let reading = try open(ends.reading)
    do throws(Errno) {
      return (reading, try open(ends.writing))
    } catch {
      try close(reading)
      throw error
    }
  }

  func read(_ descriptor: FileDescriptor, into buffer: inout MutableSpan<UInt8>) throws(Errno) -> Int {
    let file: OpenFile = try file(descriptor)
    guard let pipe = file as? PipeFile else { return try receive(descriptor, into: &buffer) }
    let count = try pipe.read(into: &buffer)
    note(.read, Int64(descriptor.rawValue), Int64(count))
    return count
  }

  func write(_ descriptor: FileDescriptor, _ bytes: Span<UInt8>) throws(Errno) -> Int {
    let file: OpenFile = try file(descriptor)
    guard let pipe = file as? PipeFile else { return try send(descriptor, bytes) }
    let count = try pipe.write(bytes)
    note(.write, Int64(descriptor.rawValue), Int64(count))
    return count
  }

  func write(_ descriptor: FileDescriptor, gathering chunks: [[UInt8]], skipping: Int) throws(Errno) -> Int {
    try write(descriptor, joined(chunks, skipping).span)
  }

  func directions(_ descriptor: FileDescriptor) throws(Errno) -> Interest {
    let file: OpenFile = try file(descriptor)
    guard let pipe = file as? PipeFile else { return [.read, .write] }
    return pipe.isReader ? .read : .write
  }

  // MARK: Socket files

  func fileStatus(_ path: FilePath) throws(Errno) -> FileStatus {
    guard let name = SocketAddress(unixPath: path)?.unixName, let entry = socketFiles[name] else {
      throw .noSuchFileOrDirectory
    }
    return FileStatus(isSocket: true, device: UInt64(number), inode: entry.inode)
  }

  func unlink(_ path: FilePath) throws(Errno) {
    guard let name = SocketAddress(unixPath: path)?.unixName, socketFiles.removeValue(forKey: name) != nil else {
      throw .noSuchFileOrDirectory
    }
  }
}
