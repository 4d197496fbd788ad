// SPDX-License-Identifier: Apache-2.0

/// Makes the engines of encrypted connections: what the `tls:` arguments take. asyncio's `ssl.SSLContext`.
///
/// The module AsyncIOTLS has one on OpenSSL, `TLSContext`. One provider serves any number of loops and connections.
public protocol TLSProvider: Sendable {
  /// An engine for one connection.
  ///
  /// - Throws: ``TLSError`` when the configuration, or the name, is of no use.
  func makeEngine(for role: TLSRole) throws(TLSError) -> any TLSEngine

  /// Whether a stream that ends without the peer's close_notify counts as complete. Then nobody can tell when someone on
  /// the way has cut it short. False by default: the connection ends with ``TLSError`` `.truncated`.
  var insecurelyAcceptsTruncation: Bool { get }
}

extension TLSProvider {
  /// A stream that was cut short is an error.
  public var insecurelyAcceptsTruncation: Bool { false }
}

/// Which end of an encrypted connection.
public enum TLSRole: Hashable, Sendable {
  /// The end that connects. The name is what the peer's certificate has to be valid for; nil checks no name.
  case client(serverName: String?)
  /// The end that accepts.
  case server
}

/// One end of an encrypted connection, without any input or output of its own: bytes in, bytes out.
///
/// A transport drives it, one call at a time. Each method appends what has to go to the peer, in order, to `output`,
/// also when it throws: that is the alert that tells the peer why. After an error no method but ``info`` is called.
public protocol TLSEngine: AnyObject {
  /// Goes on with the handshake. The first call begins it, and may bring no bytes.
  ///
  /// - Returns: how many bytes were used (the others come again, to ``decrypt(_:into:output:)`` once it is done), and
  ///   whether the handshake is done.
  func handshake(_ received: Span<UInt8>, output: inout [UInt8]) throws(TLSError) -> (used: Int, isDone: Bool)

  /// Decrypts what arrived, as far as the plaintext fits.
  ///
  /// What was decrypted before an error is answered first; the error comes with the next call.
  func decrypt(
    _ received: Span<UInt8>, into plaintext: inout MutableSpan<UInt8>, output: inout [UInt8]
  ) throws(TLSError) -> TLSDecryption

  /// Encrypts bytes, in as few records as they take.
  func encrypt(_ plaintext: Span<UInt8>, output: inout [UInt8]) throws(TLSError)

  /// Says that no more will be sent: close_notify.
  func close(output: inout [UInt8])

  /// What was agreed on in the handshake.
  var info: TLSInfo { get }
}

/// What became of bytes that an engine was given to decrypt.
public struct TLSDecryption: Equatable, Sendable {
  /// What to do next.
  public enum Next: Equatable, Sendable {
    /// Everything was used, and all plaintext is out: come back with more from the peer.
    case receive
    /// There may be more plaintext: come back with room for it, and with what is left of the bytes.
    case repeatCall
    /// The peer has sent its close_notify, and there is no plaintext. What follows is not part of the connection.
    case end
  }

  /// How many of the received bytes were used.
  public var used: Int
  /// How many bytes of plaintext there are.
  public var count: Int
  /// What to do next.
  public var next: Next

  /// Describes an outcome.
  public init(used: Int, count: Int, next: Next) {
    self.used = used
    self.count = count
    self.next = next
  }
}

/// What two ends of an encrypted connection have agreed on. asyncio's extra info `cipher`, `compression`, `peercert` and
/// `ssl_object`.
public struct TLSInfo: Hashable, Sendable {
  /// The version, such as `TLSv1.3`.
  public var version: String
  /// The cipher's name, such as `TLS_AES_256_GCM_SHA384`.
  public var cipher: String
  /// The size of the cipher's secret, in bits.
  public var cipherBits: Int
  /// The application's protocol, such as `h2`; nil when none was negotiated.
  public var alpnProtocol: String?
  /// The name that the client asked for (SNI); nil when it named none.
  public var serverName: String?
  /// Whether the session of an earlier connection was taken up again.
  public var isResumed: Bool
  /// The peer's certificate, then those that it sent along, each in DER. None from a peer without a certificate, and
  /// on a resumed session the peer's own alone.
  public var peerCertificates: [[UInt8]]

  /// Describes a connection.
  public init(
    version: String, cipher: String, cipherBits: Int, alpnProtocol: String? = nil, serverName: String? = nil,
    isResumed: Bool = false, peerCertificates: [[UInt8]] = []
  ) {
    self.version = version
    self.cipher = cipher
    self.cipherBits = cipherBits
    self.alpnProtocol = alpnProtocol
    self.serverName = serverName
    self.isResumed = isResumed
    self.peerCertificates = peerCertificates
  }
}
