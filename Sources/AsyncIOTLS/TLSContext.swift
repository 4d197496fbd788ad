// SPDX-License-Identifier: Apache-2.0
public import AsyncIO

/// How connections are encrypted, by OpenSSL. asyncio's `ssl.SSLContext`.
///
/// Make one, and use it for all connections of a kind, on any number of loops: making it reads files, the system's roots
/// among them, and sessions are taken up again within one context. The `tls:` arguments take it as `.client(context)` and
/// `.server(context)`; where one connection or server is all there is, they can make their own.
///
/// ```swift
/// let context = try TLSContext.client { $0.alpnProtocols = ["http/1.1"] }
/// let (reader, writer) = try await loop.openConnection(host: "www.example.org", port: 443, tls: .client(context))
/// ```
public final class TLSContext: TLSProvider {
  private let handle: ContextHandle

  /// A context for connecting: the server's certificate is verified by the system's roots, for the host's name.
  ///
  /// - Parameter configure: changes that.
  /// - Throws: `TLSError` `.configuration` for files that cannot be read and settings that OpenSSL rejects.
  public static func client(_ configure: (inout Configuration) -> Void = { _ in }) throws(TLSError) -> TLSContext {
    var configuration = Configuration()
    configure(&configuration)
    return try TLSContext(configuration, isServer: false)
  }

  /// A context for accepting connections.
  ///
  /// - Parameters:
  ///   - identity: the certificate, and its key.
  ///   - configure: changes the other settings.
  /// - Throws: `TLSError` `.configuration` for files that cannot be read and settings that OpenSSL rejects.
  public static func server(
    _ identity: TLSIdentity, _ configure: (inout Configuration) -> Void = { _ in }
  ) throws(TLSError) -> TLSContext {
    var configuration = Configuration()
    configuration.identity = identity
    configure(&configuration)
    return try TLSContext(configuration, isServer: true)
  }

  /// A context for accepting connections, with a certificate and key in files.
  ///
  /// - Parameters:
  ///   - certificateFile: the certificate, then those that lead to a root, in PEM.
  ///   - keyFile: the key, in PEM or DER.
  ///   - configure: changes the other settings.
  /// - Throws: `TLSError` `.configuration` for files that cannot be read and settings that OpenSSL rejects.
  public static func server(
    certificateFile: String, keyFile: String, _ configure: (inout Configuration) -> Void = { _ in }
  ) throws(TLSError) -> TLSContext {
    try server(TLSIdentity(certificate: .file(certificateFile), key: .file(keyFile)), configure)
  }

  private init(_ configuration: Configuration, isServer: Bool) throws(TLSError) {
    handle = try ContextHandle(configuration, isServer: isServer)
  }

  /// The settings that it was made with.
  public var configuration: Configuration { handle.configuration }

  /// An engine for one connection; transports call this.
  public func makeEngine(for role: TLSRole) throws(TLSError) -> any TLSEngine {
    try OpenSSLEngine(handle, role)
  }

  /// Whether a stream that ends without close_notify counts as complete.
  public var insecurelyAcceptsTruncation: Bool { handle.configuration.insecurelyAcceptsTruncation }

  /// Whether a client's `verification` looks at no name.
  public var insecurelyIgnoresServerName: Bool { handle.configuration.verification != .full }

  /// What callbacks of OpenSSL's go by.
  var contextHandle: ContextHandle { handle }
}
