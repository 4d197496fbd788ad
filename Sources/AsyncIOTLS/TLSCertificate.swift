// SPDX-License-Identifier: Apache-2.0
public import AsyncIO
import COpenSSL

/// What a certificate says. asyncio's extra info `peercert`.
public struct TLSCertificate: Hashable, Sendable {
  /// Whose it is, such as `CN=www.example.org, O=Example` (RFC 2253).
  public let subject: String
  /// Who has signed it.
  public let issuer: String
  /// The host names and addresses that it is valid for.
  public let names: [String]
  /// Its number, in hexadecimal digits.
  public let serialNumber: String
  /// From when on it is valid, in seconds since 1970.
  public let notBefore: Int64
  /// Until when it is valid, in seconds since 1970.
  public let notAfter: Int64
  /// The SHA-256 digest of its encoding.
  public let fingerprint: [UInt8]
  /// Its encoding.
  public let der: [UInt8]

  /// Reads a certificate.
  ///
  /// - Throws: `TLSError` `.configuration` for bytes that are none.
  public init(der: [UInt8]) throws(TLSError) {
    guard let certificate = try TLSSource.der(der).certificates().first else {
      throw TLSError(.configuration, "no certificate")
    }
    unsafe self.init(certificate.pointer)
  }
}

extension TLSInfo {
  /// The peer's certificate; nil from a peer without one.
  public var peerCertificate: TLSCertificate? {
    peerCertificates.first.flatMap { (der) in try? TLSCertificate(der: der) }
  }
}
