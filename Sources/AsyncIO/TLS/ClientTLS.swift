// SPDX-License-Identifier: Apache-2.0

/// How a connection is encrypted whose handshake we begin: what the `tls:` arguments of the calls that connect take.
/// asyncio's `ssl`, `server_hostname`, `ssl_handshake_timeout` and `ssl_shutdown_timeout`.
///
/// With the module AsyncIOTLS it is `.client` in most cases. It is a value: make one, and use it for any number of
/// connections on any number of loops.
public struct ClientTLS: Sendable {
  /// How long a handshake may take where nothing else is said: 60 seconds.
  public static let defaultHandshakeTimeout = Duration.seconds(60)
  /// How long a close may take where nothing else is said: 30 seconds.
  public static let defaultShutdownTimeout = Duration.seconds(30)

  /// What the server's certificate has to be valid for; nil means the host that is connected to. Where there is no host,
  /// as with a socket, a unix path or `startTLS`, a name is needed.
  public var serverHostname: String?
  /// How long the handshake may take; more than zero.
  public var handshakeTimeout: Duration
  /// How long the peer may take, once we close, to read or to close as well; more than zero.
  public var shutdownTimeout: Duration
  let provider: @Sendable () throws(TLSError) -> any TLSProvider

  /// Encrypts by a provider that is there already.
  ///
  /// - Parameters:
  ///   - provider: makes the connections' engines.
  ///   - serverHostname: what the server's certificate has to be valid for; nil means the host.
  ///   - handshakeTimeout: how long the handshake may take.
  ///   - shutdownTimeout: how long the peer may take, once we close, to read or to close as well.
  public init(
    _ provider: any TLSProvider, serverHostname: String? = nil,
    handshakeTimeout: Duration = ClientTLS.defaultHandshakeTimeout,
    shutdownTimeout: Duration = ClientTLS.defaultShutdownTimeout
  ) {
    self.init(
      serverHostname: serverHostname, handshakeTimeout: handshakeTimeout, shutdownTimeout: shutdownTimeout,
      provider: { provider })
  }

  /// Encrypts by a provider that is asked for once a connection needs it.
  ///
  /// - Parameters:
  ///   - serverHostname: what the server's certificate has to be valid for; nil means the host.
  ///   - handshakeTimeout: how long the handshake may take.
  ///   - shutdownTimeout: how long the peer may take, once we close, to read or to close as well.
  ///   - provider: called on the loop's thread by each call that connects, before anything else is done. What it throws,
  ///     that call throws. A provider that is costly to make is best kept.
  public init(
    serverHostname: String? = nil, handshakeTimeout: Duration = ClientTLS.defaultHandshakeTimeout,
    shutdownTimeout: Duration = ClientTLS.defaultShutdownTimeout,
    provider: @escaping @Sendable () throws(TLSError) -> any TLSProvider
  ) {
    self.serverHostname = serverHostname
    self.handshakeTimeout = handshakeTimeout
    self.shutdownTimeout = shutdownTimeout
    self.provider = provider
  }
}
