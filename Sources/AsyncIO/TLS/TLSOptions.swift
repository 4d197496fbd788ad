// SPDX-License-Identifier: Apache-2.0

/// What a call was told about encryption, checked: no setting that is of no use gets as far as a connection.
struct TLSOptions {
  let provider: any TLSProvider
  let role: TLSRole
  let handshakeTimeout: Duration
  let shutdownTimeout: Duration

  /// For the end that accepts.
  ///
  /// - Throws: ``EventLoopError`` `.invalidArgument` for a time limit that is not above zero.
  init(_ operation: String, _ tls: ServerTLS) throws(EventLoopError) {
    try TLSOptions.check(operation, tls.handshakeTimeout, tls.shutdownTimeout)
    provider = tls.provider
    role = .server
    handshakeTimeout = tls.handshakeTimeout
    shutdownTimeout = tls.shutdownTimeout
  }

  /// For the end that connects.
  ///
  /// - Parameters:
  ///   - operation: the call, for its errors.
  ///   - tls: what the call was given.
  ///   - host: the host that is connected to; nil or empty where there is none, and then a name has to be given, unless
  ///     the provider checks none.
  /// - Throws: ``EventLoopError`` `.invalidArgument` for a time limit that is not above zero, or a name that is missing
  ///   or empty; the ``TLSError`` of a provider that cannot be made.
  init(_ operation: String, _ tls: ClientTLS, host: String? = nil) throws {
    try TLSOptions.check(operation, tls.handshakeTimeout, tls.shutdownTimeout)
    provider = try tls.provider()
    role = .client(serverName: try TLSOptions.serverName(operation, tls.serverHostname, host, provider))
    handshakeTimeout = tls.handshakeTimeout
    shutdownTimeout = tls.shutdownTimeout
  }

  private static func check(
    _ operation: String, _ handshakeTimeout: Duration, _ shutdownTimeout: Duration
  ) throws(EventLoopError) {
    guard handshakeTimeout > .zero, shutdownTimeout > .zero else {
      throw EventLoopError(.invalidArgument, "\(operation): the time limits of TLS must be above zero")
    }
  }

  /// The name that the peer's certificate is checked for; nil where none is.
  private static func serverName(
    _ operation: String, _ name: String?, _ host: String?, _ provider: any TLSProvider
  ) throws(EventLoopError) -> String? {
    if let name = name ?? host, !name.isEmpty { return name }
    // Whether names are checked is the provider's to say, by a setting with a name that cannot be overlooked.
    if provider.insecurelyIgnoresServerName { return nil }
    throw EventLoopError(
      .invalidArgument,
      name == nil && host == nil
        ? "\(operation): tls without a host needs a serverHostname, for which the peer's certificate is checked"
        : "\(operation): tls needs the name to check the peer's certificate for, and neither the host nor "
          + "serverHostname may be an empty one")
  }
}
