// SPDX-License-Identifier: Apache-2.0

/// Makes the engines of encrypted connections, for ``ClientTLS`` and ``ServerTLS``. asyncio's `ssl.SSLContext`.
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

  /// Whether clients take a certificate that is valid for any name, or none at all. Then a client need not have a name to
  /// check: an empty `serverHostname`, or none where there is no host, asks the server for none. False by default, and
  /// such a client is refused.
  var insecurelyIgnoresServerName: Bool { get }
}

extension TLSProvider {
  /// A stream that was cut short is an error.
  public var insecurelyAcceptsTruncation: Bool { false }

  /// Every client has a name that the peer's certificate has to be valid for.
  public var insecurelyIgnoresServerName: Bool { false }
}

/// Which end of an encrypted connection.
public enum TLSRole: Hashable, Sendable {
  /// The end that connects. The name is what the peer's certificate has to be valid for; nil only where the
  /// provider checks none.
  case client(serverName: String?)
  /// The end that accepts.
  case server
}

/// What carries an engine's bytes: a socket, or another engine.
///
/// An engine uses it during its own calls only, and never keeps it.
public protocol TLSWire: AnyObject {
  /// Fills the buffer with encrypted bytes from the peer, as far as there are any now.
  ///
  /// - Returns: how many they are. Fewer than there is room for: more will come with another call of the engine's, and
  ///   not before.
  func read(into buffer: inout MutableSpan<UInt8>) -> Int

  /// Takes encrypted bytes for the peer, always all of them. Whoever brings the wire learns of failures.
  func write(_ bytes: Span<UInt8>)
}

/// One end of an encrypted connection, without any input or output of its own.
///
/// A transport drives it, one call at a time, and brings the wire for each. Every method writes what has to go to the
/// peer, also when it throws: that is the alert that tells the peer why. After an error no method but ``info`` is called.
public protocol TLSEngine: AnyObject {
  /// Goes on with the handshake, which the first call begins.
  ///
  /// - Returns: whether the handshake is done. What was read beyond its end is ``decrypt(from:into:)``'s.
  func handshake(over wire: any TLSWire) throws(TLSError) -> Bool

  /// Reads and decrypts what has arrived, as far as the plaintext fits.
  ///
  /// What was decrypted before an error is answered first; the error comes with the next call.
  func decrypt(from wire: any TLSWire, into plaintext: inout MutableSpan<UInt8>) throws(TLSError) -> TLSDecryption

  /// Encrypts bytes, in as few records as they take, and one write for each.
  func encrypt(_ plaintext: Span<UInt8>, to wire: any TLSWire) throws(TLSError)

  /// Says that no more will be sent: close_notify.
  func close(over wire: any TLSWire)

  /// What was agreed on in the handshake.
  var info: TLSInfo { get }
}

/// What an engine has decrypted.
public struct TLSDecryption: Equatable, Sendable {
  /// What to do next.
  public enum Next: Equatable, Sendable {
    /// All plaintext is out: come back once the wire has more.
    case receive
    /// There may be more plaintext: come back with room for it.
    case repeatCall
    /// The peer has sent its close_notify, and there is no plaintext. What follows is not part of the connection.
    case end
  }

  /// How many bytes of plaintext there are.
  public var count: Int
  /// What to do next.
  public var next: Next

  /// Describes an outcome.
  public init(count: Int, next: Next) {
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
