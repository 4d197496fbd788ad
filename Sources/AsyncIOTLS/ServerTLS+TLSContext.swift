// SPDX-License-Identifier: Apache-2.0
public import AsyncIO

extension ServerTLS {
  /// Encrypts by OpenSSL, with a certificate and key in files.
  ///
  /// - Parameters:
  ///   - certificateFile: the certificate, then those that lead to a root, in PEM.
  ///   - keyFile: the key, in PEM or DER.
  ///   - handshakeTimeout: how long a handshake may take.
  ///   - shutdownTimeout: how long a peer may take, once we close, to read or to close as well.
  ///   - configure: changes the other settings.
  /// - Throws: `TLSError` `.configuration` for files that cannot be read and settings that OpenSSL rejects.
  public static func server(
    certificateFile: String, keyFile: String, handshakeTimeout: Duration = ServerTLS.defaultHandshakeTimeout,
    shutdownTimeout: Duration = ServerTLS.defaultShutdownTimeout,
    _ configure: (inout TLSContext.Configuration) -> Void = { _ in }
  ) throws(TLSError) -> ServerTLS {
    server(
      try TLSContext.server(certificateFile: certificateFile, keyFile: keyFile, configure),
      handshakeTimeout: handshakeTimeout, shutdownTimeout: shutdownTimeout)
  }

  /// Encrypts by OpenSSL, with a certificate and key from anywhere.
  ///
  /// - Parameters:
  ///   - identity: the certificate, and its key.
  ///   - handshakeTimeout: how long a handshake may take.
  ///   - shutdownTimeout: how long a peer may take, once we close, to read or to close as well.
  ///   - configure: changes the other settings.
  /// - Throws: `TLSError` `.configuration` for files that cannot be read and settings that OpenSSL rejects.
  public static func server(
    _ identity: TLSIdentity, handshakeTimeout: Duration = ServerTLS.defaultHandshakeTimeout,
    shutdownTimeout: Duration = ServerTLS.defaultShutdownTimeout,
    _ configure: (inout TLSContext.Configuration) -> Void = { _ in }
  ) throws(TLSError) -> ServerTLS {
    server(
      try TLSContext.server(identity, configure), handshakeTimeout: handshakeTimeout, shutdownTimeout: shutdownTimeout)
  }

  /// Encrypts by a context of the program's, made by `TLSContext.server`.
  ///
  /// - Parameters:
  ///   - context: what to show to clients, and what else there is to set.
  ///   - handshakeTimeout: how long a handshake may take.
  ///   - shutdownTimeout: how long a peer may take, once we close, to read or to close as well.
  public static func server(
    _ context: TLSContext, handshakeTimeout: Duration = ServerTLS.defaultHandshakeTimeout,
    shutdownTimeout: Duration = ServerTLS.defaultShutdownTimeout
  ) -> ServerTLS {
    ServerTLS(context, handshakeTimeout: handshakeTimeout, shutdownTimeout: shutdownTimeout)
  }
}
