// SPDX-License-Identifier: Apache-2.0

/// How connections are encrypted whose handshake the other end begins: what the `tls:` arguments of servers take.
/// asyncio's `ssl`, `ssl_handshake_timeout` and `ssl_shutdown_timeout`.
///
/// With the module AsyncIOTLS it is made by `.server(certificateFile:keyFile:)` in most cases. It is a value: make one,
/// and use it for any number of servers on any number of loops.
public struct ServerTLS: Sendable {
  /// How long a handshake may take where nothing else is said: 60 seconds.
  public static let defaultHandshakeTimeout = ClientTLS.defaultHandshakeTimeout
  /// How long a close may take where nothing else is said: 30 seconds.
  public static let defaultShutdownTimeout = ClientTLS.defaultShutdownTimeout

  /// How long a handshake may take; more than zero.
  public var handshakeTimeout: Duration
  /// How long a peer may take, once we close, to read or to close as well; more than zero.
  public var shutdownTimeout: Duration
  let provider: any TLSProvider

  /// Encrypts by a provider.
  ///
  /// - Parameters:
  ///   - provider: makes the connections' engines.
  ///   - handshakeTimeout: how long a handshake may take.
  ///   - shutdownTimeout: how long a peer may take, once we close, to read or to close as well.
  public init(
    _ provider: any TLSProvider, handshakeTimeout: Duration = ServerTLS.defaultHandshakeTimeout,
    shutdownTimeout: Duration = ServerTLS.defaultShutdownTimeout
  ) {
    self.provider = provider
    self.handshakeTimeout = handshakeTimeout
    self.shutdownTimeout = shutdownTimeout
  }
}
