// SPDX-License-Identifier: Apache-2.0
import COpenSSL

extension TLSCertificate {
  /// Reads a certificate, which stays its owner's.
  init(_ certificate: OpaquePointer) {
    unsafe subject = TLSCertificate.text(of: X509_get_subject_name(certificate))
    unsafe issuer = TLSCertificate.text(of: X509_get_issuer_name(certificate))
    unsafe names = TLSCertificate.names(of: certificate)
    unsafe serialNumber = TLSCertificate.digits(of: X509_get0_serialNumber(certificate))
    unsafe notBefore = TLSCertificate.seconds(of: X509_get0_notBefore(certificate))
    unsafe notAfter = TLSCertificate.seconds(of: X509_get0_notAfter(certificate))
    var digest = [UInt8](repeating: 0, count: Int(EVP_MAX_MD_SIZE))
    var length: UInt32 = 0
    _ = unsafe X509_digest(certificate, EVP_sha256(), &digest, &length)
    fingerprint = Array(digest.prefix(Int(length)))
    unsafe der = TLSCertificate.encoding(of: certificate)
  }

  static func encoding(of certificate: OpaquePointer) -> [UInt8] {
    let size = unsafe i2d_X509(certificate, nil)
    guard size > 0 else { return [] }
    // OpenSSL writes exactly the size that it has just told.
    return unsafe [UInt8](unsafeUninitializedCapacity: Int(size)) { buffer, count in
      var end = buffer.baseAddress
      count = max(0, Int(unsafe i2d_X509(certificate, &end)))
    }
  }

  private static func text(of name: OpaquePointer?) -> String {
    guard let name = unsafe name, let memory = unsafe BIO_new(BIO_s_mem()) else { return "" }
    defer { _ = unsafe BIO_free(memory) }
    _ = unsafe X509_NAME_print_ex(memory, name, 0, copenssl_name_flags())
    var bytes: UnsafeMutablePointer<CChar>?
    let count = unsafe copenssl_bio_memory(memory, &bytes)
    guard let bytes = unsafe bytes, count > 0 else { return "" }
    return unsafe String(
      decoding: UnsafeRawBufferPointer(start: bytes, count: count), as: UTF8.self)
  }

  private static func digits(of number: UnsafePointer<ASN1_INTEGER>?) -> String {
    guard let big = unsafe ASN1_INTEGER_to_BN(number, nil) else { return "" }
    defer { unsafe BN_free(big) }
    guard let digits = unsafe BN_bn2hex(big) else { return "" }
    defer { unsafe copenssl_free(digits) }
    return unsafe String(cString: digits)
  }

  private static func seconds(of time: UnsafePointer<ASN1_TIME>?) -> Int64 {
    guard let start = unsafe ASN1_TIME_set(nil, 0) else { return 0 }
    defer { unsafe ASN1_TIME_free(start) }
    var days: Int32 = 0
    var seconds: Int32 = 0
    guard unsafe ASN1_TIME_diff(&days, &seconds, start, time) == 1 else { return 0 }
    return Int64(days) * 86_400 + Int64(seconds)
  }

  /// The host names and addresses of a certificate; its common name where it has none.
  static func names(of certificate: OpaquePointer) -> [String] {
    var found: [String] = []
    if let list = unsafe X509_get_ext_d2i(certificate, NID_subject_alt_name, nil, nil) {
      let names = OpaquePointer(list)
      defer { unsafe copenssl_free_names(names) }
      for index in 0..<max(0, unsafe copenssl_name_count(names)) {
        var type: Int32 = 0
        guard let name = unsafe copenssl_name_at(names, index),
          let value = unsafe GENERAL_NAME_get0_value(name, &type)
        else { continue }
        guard type == GEN_DNS || type == GEN_IPADD else { continue }
        let string = unsafe value.assumingMemoryBound(to: ASN1_STRING.self)
        // The string is the list's, and as long as OpenSSL says.
        let bytes = unsafe UnsafeBufferPointer(
          start: ASN1_STRING_get0_data(string), count: Int(ASN1_STRING_length(string)))
        found.append(unsafe type == GEN_DNS ? String(decoding: bytes, as: UTF8.self) : address(Array(bytes)))
      }
    }
    if found.isEmpty, let name = unsafe commonName(of: certificate) { found.append(name) }
    return found
  }

  private static func commonName(of certificate: OpaquePointer) -> String? {
    var buffer = [CChar](repeating: 0, count: 256)
    let count = unsafe X509_NAME_get_text_by_NID(
      X509_get_subject_name(certificate), NID_commonName, &buffer, Int32(buffer.count))
    guard count > 0 else { return nil }
    return String(decoding: buffer.prefix(Int(count)).map { UInt8(bitPattern: $0) }, as: UTF8.self)
  }

  private static func address(_ bytes: [UInt8]) -> String {
    if bytes.count == 4 { return bytes.map(String.init).joined(separator: ".") }
    let groups = stride(from: 0, to: bytes.count - 1, by: 2).map { UInt16(bytes[$0]) << 8 | UInt16(bytes[$0 + 1]) }
    return groups.map { String($0, radix: 16) }.joined(separator: ":")
  }
}
