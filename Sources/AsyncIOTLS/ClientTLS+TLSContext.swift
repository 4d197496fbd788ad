// SPDX-License-Identifier: Apache-2.0
public import AsyncIO
import Synchronization

extension ClientTLS {
  /// Encrypts by OpenSSL: the server's certificate is verified by the system's roots, for the host's name.
  ///
  /// All connections of the process that are encrypted so share one context. It is made by the first call that connects,
  /// which throws a `TLSError` `.configuration` if the system's roots cannot be read; the next call tries again.
  public static var client: ClientTLS { ClientTLS(provider: sharedContext) }

  /// Like `client`, with another name or other time limits.
  ///
  /// - Parameters:
  ///   - serverHostname: what the server's certificate has to be valid for; nil means the host.
  ///   - handshakeTimeout: how long the handshake may take.
  ///   - shutdownTimeout: how long the peer may take, once we close, to read or to close as well.
  public static func client(
    serverHostname: String? = nil, handshakeTimeout: Duration = ClientTLS.defaultHandshakeTimeout,
    shutdownTimeout: Duration = ClientTLS.defaultShutdownTimeout
  ) -> ClientTLS {
    ClientTLS(
      serverHostname: serverHostname, handshakeTimeout: handshakeTimeout, shutdownTimeout: shutdownTimeout,
      provider: sharedContext)
  }

  /// Encrypts by a context of the program's, made by `TLSContext.client`.
  ///
  /// - Parameters:
  ///   - context: whom to trust, and what else there is to set.
  ///   - serverHostname: what the server's certificate has to be valid for; nil means the host.
  ///   - handshakeTimeout: how long the handshake may take.
  ///   - shutdownTimeout: how long the peer may take, once we close, to read or to close as well.
  public static func client(
    _ context: TLSContext, serverHostname: String? = nil,
    handshakeTimeout: Duration = ClientTLS.defaultHandshakeTimeout,
    shutdownTimeout: Duration = ClientTLS.defaultShutdownTimeout
  ) -> ClientTLS {
    ClientTLS(
      context, serverHostname: serverHostname, handshakeTimeout: handshakeTimeout, shutdownTimeout: shutdownTimeout)
  }

  /// Encrypts by a context that is made here and now. Keep the value for all connections of a kind: they share the
  /// context, and take up sessions again.
  ///
  /// - Parameters:
  ///   - serverHostname: what the server's certificate has to be valid for; nil means the host.
  ///   - handshakeTimeout: how long the handshake may take.
  ///   - shutdownTimeout: how long the peer may take, once we close, to read or to close as well.
  ///   - configure: changes the safe defaults.
  /// - Throws: `TLSError` `.configuration` for files that cannot be read and settings that OpenSSL rejects.
  public static func client(
    serverHostname: String? = nil, handshakeTimeout: Duration = ClientTLS.defaultHandshakeTimeout,
    shutdownTimeout: Duration = ClientTLS.defaultShutdownTimeout,
    _ configure: (inout TLSContext.Configuration) -> Void
  ) throws(TLSError) -> ClientTLS {
    client(
      try TLSContext.client(configure), serverHostname: serverHostname, handshakeTimeout: handshakeTimeout,
      shutdownTimeout: shutdownTimeout)
  }

  private static let shared = Mutex<TLSContext?>(nil)

  /// The context of the connections that set nothing: reading the system's roots takes milliseconds, and sessions are
  /// taken up again within one context.
  private static let sharedContext: @Sendable () throws(TLSError) -> any TLSProvider = { () throws(TLSError) in
    try shared.withLock { (shared) throws(TLSError) in
      if let shared { return shared }
      let context = try TLSContext.client()
      shared = context
      return context
    }
  }
}
