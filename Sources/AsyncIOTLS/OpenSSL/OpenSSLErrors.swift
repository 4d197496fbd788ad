// SPDX-License-Identifier: Apache-2.0
import AsyncIO
import COpenSSL

/// OpenSSL's queue of errors, one for each thread. Whoever calls OpenSSL empties it before, or after a failure.
enum OpenSSLErrors {
  /// OpenSSL's words for the first error in the queue, which it empties.
  static func take() -> (code: UInt, reason: String) {
    let code = ERR_get_error()
    defer { ERR_clear_error() }
    guard code != 0 else { return (0, "OpenSSL gives no reason") }
    // The library's own text, valid for ever.
    if let text = unsafe ERR_reason_error_string(code) { return (code, unsafe String(cString: text)) }
    var line = [CChar](repeating: 0, count: 256)
    unsafe ERR_error_string_n(code, &line, line.count)
    let whole = String(decoding: line.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
    return (code, whole.split(separator: ":").last.map(String.init) ?? whole)
  }

  /// The error of a setting or a file.
  static func configuration(_ subject: String? = nil) -> TLSError {
    TLSError(.configuration, take().reason, subject: subject)
  }
}

/// Throws when a call that answers 1 for success does not.
func check(_ answer: Int32, _ subject: @autoclosure () -> String) throws(TLSError) {
  if answer != 1 { throw OpenSSLErrors.configuration(subject()) }
}
