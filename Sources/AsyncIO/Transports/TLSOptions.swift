// SPDX-License-Identifier: Apache-2.0

/// The arguments of a call that have to do with TLS, checked.
struct TLSOptions {
  let provider: any TLSProvider
  let role: TLSRole
  let handshakeTimeout: Duration
  let shutdownTimeout: Duration

  static let defaultHandshakeTimeout = Duration.seconds(60)
  static let defaultShutdownTimeout = Duration.seconds(30)

  /// Nil where no encryption is asked for.
  ///
  /// - Throws: ``EventLoopError`` `.invalidArgument` for a time limit that is not above zero, and for limits and names
  ///   without a provider.
  private init?(
    _ operation: String, _ provider: (any TLSProvider)?, _ role: () throws(EventLoopError) -> TLSRole,
    _ handshakeTimeout: Duration?, _ shutdownTimeout: Duration?
  ) throws(EventLoopError) {
    guard let provider else {
      if handshakeTimeout == nil, shutdownTimeout == nil { return nil }
      throw EventLoopError(
        .invalidArgument, "\(operation): handshakeTimeout and shutdownTimeout mean nothing without tls")
    }
    self.provider = provider
    self.role = try role()
    self.handshakeTimeout = handshakeTimeout ?? TLSOptions.defaultHandshakeTimeout
    self.shutdownTimeout = shutdownTimeout ?? TLSOptions.defaultShutdownTimeout
    guard self.handshakeTimeout > .zero, self.shutdownTimeout > .zero else {
      throw EventLoopError(.invalidArgument, "\(operation): the time limits of TLS must be above zero")
    }
  }

  /// For the end that accepts.
  static func server(
    _ operation: String, _ provider: (any TLSProvider)?, _ handshakeTimeout: Duration?, _ shutdownTimeout: Duration?
  ) throws(EventLoopError) -> TLSOptions? {
    try TLSOptions(operation, provider, { () throws(EventLoopError) in .server }, handshakeTimeout, shutdownTimeout)
  }

  /// For the end that connects.
  ///
  /// - Parameters:
  ///   - operation: the call, for its errors.
  ///   - provider: makes the engines.
  ///   - name: what the peer's certificate has to be valid for; nil means the host.
  ///   - host: the host that is connected to; nil or empty where there is none, and then a name has to be given, unless
  ///     the provider checks none.
  ///   - handshakeTimeout: how long the handshake may take.
  ///   - shutdownTimeout: how long the close may take.
  static func client(
    _ operation: String, _ provider: (any TLSProvider)?, name: String?, host: String?,
    _ handshakeTimeout: Duration?, _ shutdownTimeout: Duration?
  ) throws(EventLoopError) -> TLSOptions? {
    if provider == nil, name != nil {
      throw EventLoopError(.invalidArgument, "\(operation): serverHostname means nothing without tls")
    }
    return try TLSOptions(
      operation, provider,
      { () throws(EventLoopError) in
        guard let name = name ?? host, !name.isEmpty else {
          // Whether names are checked is the provider's to say, by a setting with a name that cannot be overlooked.
          if provider?.insecurelyIgnoresServerName == true { return .client(serverName: nil) }
          throw EventLoopError(
            .invalidArgument,
            name == nil && host == nil
              ? "\(operation): tls without a host needs a serverHostname, for which the peer's certificate is checked"
              : "\(operation): tls needs the name to check the peer's certificate for, and neither the host nor "
                + "serverHostname may be an empty one")
        }
        return .client(serverName: name)
      }, handshakeTimeout, shutdownTimeout)
  }

  func makeStage(on socket: Socket, _ loop: EventLoop) throws(TLSError) -> TLSStage {
    TLSStage(try provider.makeEngine(for: role), self, over: SocketWire(loop.kernel, socket.descriptor))
  }
}
