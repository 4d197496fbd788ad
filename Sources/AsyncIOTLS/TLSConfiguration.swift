// SPDX-License-Identifier: Apache-2.0

/// Where a certificate or a key comes from.
public enum TLSSource: Hashable, Sendable {
  /// A file, in PEM or DER. It is read once, when the context is made.
  case file(String)
  /// The text of a PEM file, with one or more parts.
  case pem(String)
  /// The bytes of one certificate or key in DER.
  case der([UInt8])
}

/// A certificate with its key: what one end shows the other.
public struct TLSIdentity: Hashable, Sendable {
  /// The certificate, and after it those that lead from it to a root.
  public var certificates: [TLSSource]
  /// The certificate's private key.
  public var key: TLSSource
  /// What the key is encrypted with; nil for a key that is not.
  public var password: String?

  /// Describes an identity.
  ///
  /// - Parameters:
  ///   - certificate: the certificate, in PEM also with those that lead to a root behind it.
  ///   - chain: more of those.
  ///   - key: the certificate's private key.
  ///   - password: what the key is encrypted with; nil for a key that is not.
  public init(certificate: TLSSource, chain: [TLSSource] = [], key: TLSSource, password: String? = nil) {
    certificates = [certificate] + chain
    self.key = key
    self.password = password
  }
}

extension TLSContext {
  /// What a context does. Every choice that makes connections less safe has a name that says so.
  public struct Configuration: Sendable {
    /// Whose certificates are trusted.
    public enum Trust: Hashable, Sendable {
      /// Those that the system's roots vouch for.
      case system
      /// Those that these roots vouch for, and no others.
      case roots([TLSSource])
    }

    /// How a client looks at the server's certificate.
    public enum Verification: Hashable, Sendable {
      /// It has to be trusted, and valid for the name that is connected to.
      case full
      /// It has to be trusted, but may be anyone's.
      case insecureWithoutHostName
      /// Anything goes: whoever is on the way can read and change everything.
      case insecureNone
    }

    /// Whether a server asks for the client's certificate.
    public enum ClientCertificate: Hashable, Sendable {
      /// It does not ask.
      case notAsked
      /// A client without one is welcome; one with a certificate that is not trusted is not.
      case optional
      /// A client needs one.
      case required
    }

    /// A version of the protocol.
    public enum Version: Int32, Hashable, Sendable, Comparable {
      /// Broken since 2011. It also takes the lower security level that its signatures need.
      case insecureTLS10 = 0x0301
      /// Broken as well. It also takes the lower security level that its signatures need.
      case insecureTLS11 = 0x0302
      /// TLS 1.2.
      case tls12 = 0x0303
      /// TLS 1.3.
      case tls13 = 0x0304

      /// In the order of their age.
      public static func < (a: Version, b: Version) -> Bool { a.rawValue < b.rawValue }
    }

    /// What this end shows the other. A server needs one, a client that is asked for its certificate does.
    public var identity: TLSIdentity?
    /// Whose certificates are trusted: servers' by a client, clients' by a server.
    public var trust = Trust.system
    /// How a client looks at the server's certificate.
    public var verification = Verification.full
    /// Whether a server asks for the client's certificate.
    public var clientCertificate = ClientCertificate.notAsked
    /// The oldest version that is spoken.
    public var minimumVersion = Version.tls12
    /// The newest version that is spoken; nil for the newest there is.
    public var maximumVersion: Version?
    /// The application protocols that are offered or taken, the preferred one first. A server without any in common with
    /// its client refuses the handshake.
    public var alpnProtocols: [String] = []
    /// The ciphers of TLS 1.2 in OpenSSL's notation, such as `ECDHE+AESGCM`; nil for its defaults.
    public var ciphers: String?
    /// The cipher suites of TLS 1.3, with colons between them; nil for OpenSSL's defaults.
    public var cipherSuites: String?
    /// The groups (curves) for the key exchange, such as `["X25519", "P-256"]`; nil for OpenSSL's defaults.
    public var groups: [String]?
    /// Whether sessions are taken up again, which saves the most costly part of a handshake. A client keeps the latest
    /// ones by server name, in memory.
    public var resumesSessions = true
    /// Picks a server's context by the name that the client asks for (SNI), nil when it names none. Of the context that
    /// it answers, identity, ALPN protocols and the client's certificate count; nil keeps this one.
    public var contextForServerName: (@Sendable (String?) -> TLSContext?)?
    /// A file that the keys of all connections are appended to, in NSS's format, for tools that look into the traffic.
    /// Whoever reads it can read everything.
    public var insecureKeyLogFile: String?
    /// Whether a stream that ends without close_notify counts as complete.
    public var insecurelyAcceptsTruncation = false
    /// Whether a connection gives back its record buffers (some 35 KiB) whenever it is idle, at the price of allocations
    /// for each message. Of use with many thousand idle connections.
    public var releasesIdleBuffers = false

    /// The safe defaults.
    public init() {}
  }
}
