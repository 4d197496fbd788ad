// SPDX-License-Identifier: Apache-2.0
import AsyncIO
import COpenSSL

/// A certificate in OpenSSL's form; freed with the object.
@safe
final class LoadedCertificate {
  /// Ours from `init` to `deinit`.
  let pointer: OpaquePointer

  init(owning pointer: OpaquePointer) { unsafe self.pointer = pointer }
  deinit { unsafe X509_free(pointer) }
}

/// A private key in OpenSSL's form; freed with the object.
@safe
final class LoadedKey {
  /// Ours from `init` to `deinit`.
  let pointer: OpaquePointer

  init(owning pointer: OpaquePointer) { unsafe self.pointer = pointer }
  deinit { unsafe EVP_PKEY_free(pointer) }
}

extension TLSSource {
  private var name: String {
    switch self {
    case .file(let path): path
    case .pem: "the given PEM text"
    case .der: "the given DER bytes"
    }
  }

  private func read() throws(TLSError) -> (bytes: [UInt8], isPEM: Bool) {
    switch self {
    case .pem(let text): return (Array(text.utf8), true)
    case .der(let bytes): return (bytes, false)
    case .file(let path):
      ERR_clear_error()
      guard let file = unsafe BIO_new_file(path, "rb") else { throw OpenSSLErrors.configuration(path) }
      defer { _ = unsafe BIO_free(file) }
      var bytes: [UInt8] = []
      var part = [UInt8](repeating: 0, count: 16 * 1024)
      while true {
        let count = unsafe BIO_read(file, &part, Int32(part.count))
        if count <= 0 { break }
        bytes += part[..<Int(count)]
      }
      if bytes.isEmpty { throw TLSError(.configuration, "the file is empty, or cannot be read", subject: path) }
      let marker = Array("-----BEGIN".utf8)
      let isPEM = bytes.indices.contains { bytes[$0...].starts(with: marker) }
      return (bytes, isPEM)
    }
  }

  /// Lends OpenSSL the bytes to read from.
  private func withReader<R>(
    _ bytes: [UInt8], _ body: (OpaquePointer) throws(TLSError) -> R
  ) throws(TLSError) -> R {
    ERR_clear_error()
    defer { ERR_clear_error() }
    // The reader refers to the bytes, which stay where they are for the length of the call.
    return try unsafe bytes.span.withUnsafeBytes { (buffer) throws(TLSError) in
      guard let reader = unsafe BIO_new_mem_buf(buffer.baseAddress, Int32(clamping: buffer.count)) else {
        throw OpenSSLErrors.configuration(name)
      }
      defer { _ = unsafe BIO_free(reader) }
      return try unsafe body(reader)
    }
  }

  /// The certificates in it, at least one.
  func certificates() throws(TLSError) -> [LoadedCertificate] {
    let (bytes, isPEM) = try read()
    var found: [LoadedCertificate] = []
    try unsafe withReader(bytes) { (reader) throws(TLSError) in
      if isPEM {
        while let certificate = unsafe PEM_read_bio_X509(reader, nil, nil, nil) {
          unsafe found.append(LoadedCertificate(owning: certificate))
        }
        // The end of the text is an error as well, and the only one that is none.
        let code = ERR_peek_last_error()
        let isEnd = copenssl_error_lib(code) == ERR_LIB_PEM && copenssl_error_reason(code) == PEM_R_NO_START_LINE
        if !isEnd || found.isEmpty { throw OpenSSLErrors.configuration(name) }
      } else {
        guard let certificate = unsafe d2i_X509_bio(reader, nil) else { throw OpenSSLErrors.configuration(name) }
        unsafe found.append(LoadedCertificate(owning: certificate))
      }
    }
    return found
  }

  /// The private key in it.
  func key(password: String?) throws(TLSError) -> LoadedKey {
    let (bytes, isPEM) = try read()
    let secret = Password(password)
    // Nobody asks after the call.
    let argument = unsafe Unmanaged.passUnretained(secret).toOpaque()
    return try withExtendedLifetime(secret) { () throws(TLSError) in
      if !isPEM, let key = try unsafe withReader(bytes, { (reader) in unsafe d2i_PrivateKey_bio(reader, nil) }) {
        return unsafe LoadedKey(owning: key)
      }
      return try unsafe withReader(bytes) { (reader) throws(TLSError) in
        let key =
          unsafe isPEM
          ? PEM_read_bio_PrivateKey(reader, nil, providePassword, argument)
          : d2i_PKCS8PrivateKey_bio(reader, nil, providePassword, argument)
        guard let key = unsafe key else {
          if secret.wasMissed {
            ERR_clear_error()
            throw TLSError(.configuration, "the key is encrypted, and no password was given", subject: name)
          }
          if secret.wasGiven {
            // A wrong password is found out by chance at one of several places, each of which names something else.
            ERR_clear_error()
            throw TLSError(.configuration, "the password does not decrypt the key", subject: name)
          }
          throw OpenSSLErrors.configuration(name)
        }
        return unsafe LoadedKey(owning: key)
      }
    }
  }
}

/// Answers OpenSSL's question for a password, which must never go to a terminal.
private func providePassword(
  _ target: UnsafeMutablePointer<CChar>?, _ size: Int32, _ isWriting: Int32, _ argument: UnsafeMutableRawPointer?
) -> Int32 {
  guard let target = unsafe target, let argument = unsafe argument else { return -1 }
  return unsafe Unmanaged<Password>.fromOpaque(argument).takeUnretainedValue().copy(to: target, size)
}

/// What a key is encrypted with.
private final class Password {
  private let bytes: [UInt8]?
  /// Whether it was asked for in vain.
  private(set) var wasMissed = false
  private(set) var wasGiven = false

  init(_ text: String?) { bytes = text.map { Array($0.utf8) } }

  @safe
  func copy(to target: UnsafeMutablePointer<CChar>, _ size: Int32) -> Int32 {
    guard let bytes else {
      wasMissed = true
      return -1
    }
    wasGiven = true
    guard bytes.count <= Int(size) else { return -1 }
    // The target has room for `size` bytes.
    for (index, byte) in bytes.enumerated() { unsafe target[index] = CChar(bitPattern: byte) }
    return Int32(bytes.count)
  }
}
