// SPDX-License-Identifier: Apache-2.0

/// An encrypted connection that could not be made, or broke. asyncio's `ssl.SSLError`.
///
/// It reads `TLS with 127.0.0.1:443: certificate verify failed: certificate has expired`.
public struct TLSError: Error, Hashable, Sendable, CustomStringConvertible {
  /// What kind of error it is.
  public struct Code: Hashable, Sendable, CustomStringConvertible {
    /// The code's name.
    public let description: String

    /// The two ends do not agree, or one of them does not speak TLS.
    public static let handshake = Code(description: "handshake")
    /// The peer's certificate is not to be trusted, or not the named host's. asyncio's `SSLCertVerificationError`.
    public static let certificate = Code(description: "certificate")
    /// The stream ended without the peer's close_notify: it may have been cut short on its way.
    public static let truncated = Code(description: "truncated")
    /// A record that was damaged, or that the protocol does not allow; or an alert from the peer.
    public static let broken = Code(description: "broken")
    /// A certificate, a key, or a setting that is of no use.
    public static let configuration = Code(description: "configuration")

    /// Lets `catch TLSError.Code.truncated` match.
    public static func ~= (pattern: Code, error: any Error) -> Bool { (error as? TLSError)?.code == pattern }
  }

  /// What kind of error it is.
  public var code: Code
  /// The library's words for it, such as `wrong version number`.
  public var reason: String
  /// What is wrong with the peer's certificate, in words; nil where nothing is.
  public var verification: String?
  /// The peer's address, or the file concerned.
  public var subject: String?

  /// Describes a failure.
  public init(_ code: Code, _ reason: String, verification: String? = nil, subject: String? = nil) {
    self.code = code
    self.reason = reason
    self.verification = verification
    self.subject = subject
  }

  /// Peer and cause in one line; control characters are escaped.
  public var description: String {
    let start = code == .configuration ? "TLS configuration" : "TLS"
    let object =
      subject.map { "\(start)\(code == .configuration ? " " : " with ")\($0.printable())" } ?? start
    return "\(object): \(reason)" + (verification.map { ": \($0)" } ?? "")
  }

  /// The end of a stream that its peer did not announce.
  static let truncated = TLSError(.truncated, "the stream ended without close_notify, so it may be incomplete")

  /// The same with the peer that it happened with.
  func with(_ peer: String) -> TLSError {
    var copy = self
    if copy.subject == nil { copy.subject = peer }
    return copy
  }
}
