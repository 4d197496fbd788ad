// SPDX-License-Identifier: Apache-2.0
import AsyncIO
import COpenSSL

/// An `SSL_CTX`, set up once.
///
/// Afterwards OpenSSL allows any thread to make connections of it, and counts references to it by itself. What its
/// callbacks look at here does not change either, or brings its own lock.
@safe
final class ContextHandle: @unchecked Sendable {
  /// Ours from `init` to `deinit`; connections hold references of their own.
  let pointer: OpaquePointer
  let configuration: TLSContext.Configuration
  let isServer: Bool
  /// A client's sessions; nil where they are not kept.
  let sessions: SessionStore?
  private let keyLog: KeyLog?
  /// The application protocols, each behind its length.
  private let protocols: [UInt8]

  init(_ configuration: TLSContext.Configuration, isServer: Bool) throws(TLSError) {
    ERR_clear_error()
    guard let pointer = unsafe SSL_CTX_new(TLS_method()) else { throw OpenSSLErrors.configuration() }
    unsafe self.pointer = pointer
    self.configuration = configuration
    self.isServer = isServer
    sessions = isServer || !configuration.resumesSessions ? nil : SessionStore()
    keyLog = try configuration.insecureKeyLogFile.map { (path) throws(TLSError) in try KeyLog(path) }
    protocols = try ContextHandle.encode(configuration.alpnProtocols)
    try setUp()
  }

  deinit { unsafe SSL_CTX_free(pointer) }

  private static func encode(_ protocols: [String]) throws(TLSError) -> [UInt8] {
    var encoded: [UInt8] = []
    for name in protocols {
      guard (1...255).contains(name.utf8.count) else {
        throw TLSError(.configuration, "an ALPN protocol has 1 to 255 bytes", subject: name.debugDescription)
      }
      encoded.append(UInt8(name.utf8.count))
      encoded += name.utf8
    }
    return encoded
  }

  private func setUp() throws(TLSError) {
    unsafe SSL_CTX_set_options(pointer, copenssl_options())
    var mode = copenssl_mode()
    if configuration.releasesIdleBuffers { mode |= copenssl_release_mode() }
    unsafe copenssl_ctx_set_mode(pointer, mode)
    // A record's head and the rest of it by one call.
    unsafe copenssl_ctx_set_read_ahead(pointer)
    if configuration.minimumVersion < .tls12 { unsafe SSL_CTX_set_security_level(pointer, 0) }
    try check(
      unsafe copenssl_ctx_set_min_version(pointer, configuration.minimumVersion.rawValue), "the minimum version")
    let newest = configuration.maximumVersion
    if let newest, newest < configuration.minimumVersion {
      throw TLSError(.configuration, "the newest version is older than the oldest")
    }
    try check(unsafe copenssl_ctx_set_max_version(pointer, newest?.rawValue ?? 0), "the maximum version")
    try setCiphers()
    if let identity = configuration.identity { try show(identity) }
    try setVerification()
    try setProtocols()
    setSessions()
    setNotices()
  }

  private func setCiphers() throws(TLSError) {
    if let ciphers = configuration.ciphers { try check(unsafe SSL_CTX_set_cipher_list(pointer, ciphers), ciphers) }
    if let suites = configuration.cipherSuites { try check(unsafe SSL_CTX_set_ciphersuites(pointer, suites), suites) }
    if let groups = configuration.groups {
      let list = groups.joined(separator: ":")
      try check(unsafe copenssl_ctx_set_groups(pointer, list), list)
    }
  }

  private func show(_ identity: TLSIdentity) throws(TLSError) {
    var certificates: [LoadedCertificate] = []
    for source in identity.certificates { certificates += try source.certificates() }
    guard let own = certificates.first else { throw TLSError(.configuration, "an identity needs a certificate") }
    try check(unsafe SSL_CTX_use_certificate(pointer, own.pointer), "the certificate")
    for issuer in certificates.dropFirst() {
      try check(unsafe copenssl_ctx_add_chain_certificate(pointer, issuer.pointer), "the chain of certificates")
    }
    let key = try identity.key.key(password: identity.password)
    try check(unsafe SSL_CTX_use_PrivateKey(pointer, key.pointer), "the private key")
    try check(unsafe SSL_CTX_check_private_key(pointer), "the private key")
  }

  // MARK: Verification

  private func setVerification() throws(TLSError) {
    let asksClient = configuration.clientCertificate != .notAsked
    guard isServer ? asksClient : configuration.verification != .insecureNone else {
      unsafe SSL_CTX_set_verify(pointer, SSL_VERIFY_NONE, nil)
      return
    }
    switch configuration.trust {
    case .system: try check(unsafe SSL_CTX_set_default_verify_paths(pointer), "the system's roots")
    case .roots(let sources):
      let store = unsafe SSL_CTX_get_cert_store(pointer)
      let names = unsafe copenssl_new_name_list()
      for source in sources {
        for root in try source.certificates() {
          try check(unsafe X509_STORE_add_cert(store, root.pointer), "a root")
          unsafe copenssl_add_name(names, root.pointer)
        }
      }
      // A client learns from these which of its certificates is wanted. OpenSSL takes the list over.
      if isServer { unsafe SSL_CTX_set_client_CA_list(pointer, names) } else { unsafe copenssl_free_name_list(names) }
    }
    var mode = SSL_VERIFY_PEER
    if isServer, configuration.clientCertificate == .required { mode |= SSL_VERIFY_FAIL_IF_NO_PEER_CERT }
    unsafe SSL_CTX_set_verify(pointer, mode, ContextHandle.verificationFailed)
  }

  /// Notes what is wrong, for the error's text, and lets the failure stand.
  private static let verificationFailed: @convention(c) (Int32, OpaquePointer?) -> Int32 = { isFine, store in
    guard isFine != 1 else { return 1 }
    let ssl = unsafe X509_STORE_CTX_get_ex_data(store, SSL_get_ex_data_X509_STORE_CTX_idx())
    let code = unsafe X509_STORE_CTX_get_error(store)
    // The text is a constant of the library's.
    var words = unsafe String(cString: X509_verify_cert_error_string(Int(code)))
    let isMismatch = code == X509_V_ERR_HOSTNAME_MISMATCH || code == X509_V_ERR_IP_ADDRESS_MISMATCH
    if isMismatch, let certificate = unsafe X509_STORE_CTX_get_current_cert(store) {
      let names = unsafe TLSCertificate.names(of: certificate)
      // The names are the peer's, and as many and as long as it likes.
      words +=
        names.isEmpty
        ? ", the certificate names no host"
        : ", certificate is valid for " + names.prefix(16).joined(separator: ", ").printable(limit: 256)
    }
    unsafe OpenSSLEngine.of(ssl.map { OpaquePointer($0) })?.noteVerification(words)
    return isFine
  }

  // MARK: Names and protocols

  private func setProtocols() throws(TLSError) {
    // The callbacks ask the engine for its context, which the engine holds.
    if !isServer {
      guard !protocols.isEmpty else { return }
      // Here zero is success.
      if unsafe SSL_CTX_set_alpn_protos(pointer, protocols, UInt32(protocols.count)) != 0 {
        throw OpenSSLErrors.configuration("the ALPN protocols")
      }
      return
    }
    if !protocols.isEmpty { unsafe SSL_CTX_set_alpn_select_cb(pointer, ContextHandle.selectProtocol, nil) }
    if configuration.contextForServerName != nil {
      unsafe copenssl_ctx_set_server_name_callback(pointer) { ssl, _, _ in
        guard let engine = unsafe OpenSSLEngine.of(ssl), let pick = engine.context.configuration.contextForServerName
        else { return SSL_TLSEXT_ERR_NOACK }
        let name = unsafe SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name).map { unsafe String(cString: $0) }
        if let other = pick(name) { engine.use(other.contextHandle) }
        // The session's name may have demanded no certificate, and whoever takes a session up again is not asked.
        let asksClient = engine.context.configuration.clientCertificate != .notAsked
        if asksClient, engine.resumesSession(ofOtherNameThan: name) { return SSL_TLSEXT_ERR_ALERT_FATAL }
        return name == nil ? SSL_TLSEXT_ERR_NOACK : SSL_TLSEXT_ERR_OK
      }
    }
  }

  private static let selectProtocol:
    @convention(c) (
      OpaquePointer?, UnsafeMutablePointer<UnsafePointer<UInt8>?>?, UnsafeMutablePointer<UInt8>?,
      UnsafePointer<UInt8>?, UInt32, UnsafeMutableRawPointer?
    ) -> Int32 = { ssl, chosen, chosenLength, offered, offeredLength, _ in
      guard let engine = unsafe OpenSSLEngine.of(ssl), let chosen = unsafe chosen,
        let chosenLength = unsafe chosenLength, let offered = unsafe offered
      else { return SSL_TLSEXT_ERR_NOACK }
      let wanted = engine.context.protocols
      if wanted.isEmpty { return SSL_TLSEXT_ERR_NOACK }
      let bytes = unsafe UnsafeBufferPointer(start: offered, count: Int(offeredLength))
      // The answer has to outlive the call: it points into the client's list, which does.
      for name in ContextHandle.split(wanted) {
        var start = 0
        while start < bytes.count {
          let length = unsafe Int(bytes[start])
          let end = start + 1 + length
          if end > bytes.count { break }
          if unsafe bytes[start + 1..<end].elementsEqual(name) {
            unsafe chosen.pointee = offered + start + 1
            unsafe chosenLength.pointee = UInt8(length)
            return SSL_TLSEXT_ERR_OK
          }
          start = end
        }
      }
      return SSL_TLSEXT_ERR_ALERT_FATAL
    }

  private static func split(_ encoded: [UInt8]) -> [ArraySlice<UInt8>] {
    var names: [ArraySlice<UInt8>] = []
    var rest = encoded[...]
    while let length = rest.popFirst() {
      names.append(rest.prefix(Int(length)))
      rest = rest.dropFirst(Int(length))
    }
    return names
  }

  // MARK: Sessions

  private func setSessions() {
    if isServer {
      let context = Array("AsyncIO".utf8)
      _ = unsafe SSL_CTX_set_session_id_context(pointer, context, UInt32(context.count))
      if !configuration.resumesSessions {
        unsafe copenssl_ctx_set_session_cache_mode(pointer, Int(SSL_SESS_CACHE_OFF))
        unsafe SSL_CTX_set_options(pointer, copenssl_no_ticket_option())
        _ = unsafe SSL_CTX_set_num_tickets(pointer, 0)
      }
    } else if sessions != nil {
      unsafe copenssl_ctx_set_session_cache_mode(
        pointer, Int(SSL_SESS_CACHE_CLIENT) | Int(SSL_SESS_CACHE_NO_INTERNAL_STORE))
      unsafe SSL_CTX_sess_set_new_cb(pointer) { ssl, session in
        guard let engine = unsafe OpenSSLEngine.of(ssl), let name = engine.sessionKey, let session = unsafe session,
          let sessions = engine.context.sessions
        else { return 0 }
        unsafe sessions.add(SavedSession(owning: session), name)
        // The reference is ours from here on.
        return 1
      }
    } else {
      unsafe copenssl_ctx_set_session_cache_mode(pointer, Int(SSL_SESS_CACHE_OFF))
    }
  }

  // MARK: Notices

  private func setNotices() {
    // OpenSSL refuses a renegotiation by a mere warning, which is all that shows of it.
    unsafe SSL_CTX_set_info_callback(pointer) { ssl, event, value in
      guard event == SSL_CB_WRITE_ALERT, value & 0xff == SSL_AD_NO_RENEGOTIATION else { return }
      unsafe OpenSSLEngine.of(ssl)?.noteRenegotiation()
    }
    guard keyLog != nil else { return }
    unsafe SSL_CTX_set_keylog_callback(pointer) { ssl, line in
      guard let line = unsafe line else { return }
      unsafe OpenSSLEngine.of(ssl)?.context.keyLog?.write(String(cString: line))
    }
  }
}
