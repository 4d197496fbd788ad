// SPDX-License-Identifier: Apache-2.0
import SystemPackage

extension EventLoop {
  /// Connects to a unix socket, and ties a protocol of the factory's to the connection. asyncio's
  /// `create_unix_connection`.
  ///
  /// - Parameters:
  ///   - factory: makes the protocol.
  ///   - path: a socket file, or with a leading `\0` a name in Linux's abstract space.
  /// - Throws: ``IOError`` for `connect`, with the path; what the factory throws; `CancellationError`.
  public func createUnixConnection<P: StreamProtocol>(
    _ factory: () throws -> P, path: String
  ) async throws -> (transport: StreamTransport, protocol: P) {
    check("createUnixConnection")
    let address = try unixAddress(path, "connect")
    let socket = try Socket(.unix, .stream, transportProtocol: 0, kernel: kernel)
    do {
      try await connect(socket, to: address)
      return try attach(factory, socket, remoteAddress: address)
    } catch {
      socket.close()
      throw error
    }
  }

  /// Listens on a unix socket, and calls the factory for each connection. asyncio's `create_unix_server`.
  ///
  /// A socket file that nobody listens on any more is replaced. The server removes its file when it closes, if it is
  /// still the same.
  ///
  /// - Parameters:
  ///   - factory: makes the protocol of each connection.
  ///   - path: a socket file, or with a leading `\0` a name in Linux's abstract space.
  ///   - backlog: how many connections the kernel keeps waiting, and how many one readiness accepts.
  ///   - cleanupSocket: whether to remove the file at close.
  ///   - startServing: false leaves that to ``Server/startServing()`` or ``Server/serveForever()``.
  /// - Throws: ``IOError`` for `bind`, with the path: `EADDRINUSE` when somebody listens there, or when a file is there
  ///   that is no socket.
  public func createUnixServer<P: StreamProtocol>(
    _ factory: @escaping () throws -> P, path: String, backlog: Int = 100, cleanupSocket: Bool = true,
    startServing: Bool = true
  ) async throws -> Server {
    check("createUnixServer")
    let address = try unixAddress(path, "bind")
    let file = address.socketFile
    if let file { try removeStaleSocket(at: file, address) }
    let socket = try Socket(.unix, .stream, transportProtocol: 0, kernel: kernel)
    do {
      try socket.bind(to: address)
      let kernel = kernel
      let mine = file.flatMap { try? kernel.fileStatus($0) }
      func removeFile() {
        // Someone else may have taken the path meanwhile.
        if let file, let mine, (try? kernel.fileStatus(file)) == mine { try? kernel.unlink(file) }
      }
      do {
        let server = try makeServer(factory, [socket], backlog: backlog, startServing: startServing)
        if cleanupSocket { server.onClose = removeFile }
        return server
      } catch {
        removeFile()
        throw error
      }
    } catch {
      socket.closeDescriptor()
      throw error
    }
  }

  func unixAddress(_ path: String, _ operation: String) throws(IOError) -> SocketAddress {
    if let address = SocketAddress(unixPath: path) { return address }
    let isTooLong = !path.isEmpty && (path.utf8.first == 0 || !path.utf8.contains(0))
    throw IOError(isTooLong ? .fileNameTooLong : .invalidArgument, operation, path.debugDescription)
  }

  /// Removes a socket file that a server has left behind. One that somebody listens on stays, as any other file does.
  private func removeStaleSocket(at path: String, _ address: SocketAddress) throws(IOError) {
    guard let status = try? kernel.fileStatus(path), status.isSocket else { return }
    let probe = try Socket(.unix, .stream, transportProtocol: 0, kernel: kernel)
    defer { probe.close() }
    do throws(IOError) {
      try probe.connect(to: address)
    } catch {
      guard error.code == .connectionRefused else { return }
      try? kernel.unlink(path)
    }
  }
}

extension SocketAddress {
  /// The file of a unix address; nil for a name in the abstract space.
  var socketFile: String? {
    guard case .unix(let bytes) = storage, let first = bytes.first, first != 0 else { return nil }
    return unixPath
  }
}
