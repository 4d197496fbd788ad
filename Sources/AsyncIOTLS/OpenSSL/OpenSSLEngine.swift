// SPDX-License-Identifier: Apache-2.0
import AsyncIO
import COpenSSL

/// One end of a connection, encrypted by OpenSSL.
@safe
final class OpenSSLEngine: TLSEngine {
  /// Ours from `init` to `deinit`. It owns its BIO.
  private let ssl: OpaquePointer
  /// What the BIO reads and writes; ours, and freed after `ssl`.
  private let io: UnsafeMutablePointer<EngineIO>
  /// Kept for OpenSSL's callbacks, which refer to it.
  private(set) var context: ContextHandle
  private let role: TLSRole
  /// What is wrong with the peer's certificate; nil where nothing is.
  private var verification: String?
  /// An error behind plaintext that had to be handed out first.
  private var pendingError: TLSError?
  /// Whether the peer's close_notify has come.
  private var hasEnded = false
  private var hasFailed = false
  /// Whether the peer asked for another handshake, as TLS 1.2 had it.
  private var wasAskedToRenegotiate = false

  init(_ context: ContextHandle, _ role: TLSRole) throws(TLSError) {
    guard context.isServer == (role == .server) else {
      let other =
        context.isServer ? "connects, and the context is a server's" : "accepts, and the context is a client's"
      throw TLSError(.configuration, "this end \(other)")
    }
    ERR_clear_error()
    guard let ssl = unsafe SSL_new(context.pointer) else { throw OpenSSLErrors.configuration() }
    let io = UnsafeMutablePointer<EngineIO>.allocate(capacity: 1)
    unsafe io.initialize(to: EngineIO())
    unsafe self.ssl = ssl
    unsafe self.io = io
    self.context = context
    self.role = role
    guard let bio = unsafe EngineBIO.make(io) else { throw OpenSSLErrors.configuration() }
    // For both directions; `ssl` takes over the one reference.
    unsafe SSL_set_bio(ssl, bio, bio)
    // Callbacks come during our calls only, so that no reference has to be counted.
    unsafe SSL_set_ex_data(ssl, 0, Unmanaged.passUnretained(self).toOpaque())
    switch role {
    case .server: unsafe SSL_set_accept_state(ssl)
    case .client(let name):
      unsafe SSL_set_connect_state(ssl)
      if let name {
        try expect(name)
      } else if context.configuration.verification == .full {
        throw TLSError(.configuration, "the peer's certificate cannot be checked without the server's name")
      }
    }
  }

  deinit {
    unsafe SSL_free(ssl)
    unsafe io.deinitialize(count: 1)
    unsafe io.deallocate()
  }

  /// The engine behind a callback of OpenSSL's.
  static func of(_ ssl: OpaquePointer?) -> OpenSSLEngine? {
    guard let ssl = unsafe ssl, let engine = unsafe SSL_get_ex_data(ssl, 0) else { return nil }
    return unsafe Unmanaged<OpenSSLEngine>.fromOpaque(engine).takeUnretainedValue()
  }

  /// Asks for the name, and has the certificate checked for it.
  private func expect(_ name: String) throws(TLSError) {
    guard !name.utf8.contains(0) else { throw TLSError(.configuration, "a server's name must not contain a NUL") }
    // Neither a final dot nor an interface belongs to what certificates are made out for.
    let bare = String((name.hasSuffix(".") ? name.dropLast() : name[...]).prefix { $0 != "%" })
    // OpenSSL takes an empty name for a wish to check none, and one with a dot in front for all the names below it.
    guard let first = bare.utf8.first, first != UInt8(ascii: ".") else {
      throw TLSError(
        .configuration, "a server's name must be neither empty nor begin with a dot", subject: name.debugDescription)
    }
    let checksName = context.configuration.verification == .full
    let parameters = unsafe SSL_get0_param(ssl)
    if let address = unsafe a2i_IPADDRESS(bare) {
      unsafe ASN1_OCTET_STRING_free(address)
      if checksName { try check(unsafe X509_VERIFY_PARAM_set1_ip_asc(parameters, bare), bare) }
    } else {
      try check(unsafe copenssl_set_server_name(ssl, bare), bare)
      if checksName {
        unsafe X509_VERIFY_PARAM_set_hostflags(parameters, UInt32(X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS))
        try check(unsafe X509_VERIFY_PARAM_set1_host(parameters, bare, bare.utf8.count), bare)
      }
    }
    if let session = context.sessions?.take(name) { unsafe SSL_set_session(ssl, session.pointer) }
  }

  // MARK: Callbacks

  /// The name that sessions are kept under; nil where none is checked.
  var sessionKey: String? {
    if case .client(let name) = role { name } else { nil }
  }

  func noteVerification(_ words: String) { verification = words }

  func noteRenegotiation() { wasAskedToRenegotiate = true }

  /// Goes on with the context of the server that the client asked for.
  func use(_ other: ContextHandle) {
    guard other.isServer, unsafe SSL_set_SSL_CTX(ssl, other.pointer) != nil else { return }
    context = other
    unsafe SSL_set_verify(ssl, SSL_CTX_get_verify_mode(other.pointer), SSL_CTX_get_verify_callback(other.pointer))
  }

  /// Whether the client takes up a session that was made when it asked for another name.
  func resumesSession(ofOtherNameThan name: String?) -> Bool {
    guard unsafe SSL_session_reused(ssl) == 1, let session = unsafe SSL_get_session(ssl) else { return false }
    let earlier = unsafe SSL_SESSION_get0_hostname(session).map { unsafe String(cString: $0) }
    return earlier != name
  }

  // MARK: TLSEngine

  /// Lends OpenSSL the wire for the length of a call.
  @inline(__always)
  private func lending(_ wire: any TLSWire, _ call: () -> Void) {
    ERR_clear_error()
    unsafe io.pointee.wire = wire
    unsafe io.pointee.isDrained = false
    call()
    unsafe io.pointee.wire = nil
  }

  func handshake(over wire: any TLSWire) throws(TLSError) -> Bool {
    var answer: Int32 = 0
    var failure: TLSError?
    lending(wire) {
      answer = unsafe SSL_do_handshake(ssl)
      if answer == 1 { return }
      let kind = unsafe SSL_get_error(ssl, answer)
      if kind != SSL_ERROR_WANT_READ { failure = takeError(.handshake) }
    }
    if let failure { throw failure }
    return answer == 1
  }

  func decrypt(from wire: any TLSWire, into plaintext: inout MutableSpan<UInt8>) throws(TLSError) -> TLSDecryption {
    if let pendingError { throw pendingError }
    if hasEnded { return TLSDecryption(count: 0, next: .end) }
    var outcome = TLSDecryption(count: 0, next: .receive)
    // The span's memory is ours for the length of the call, and OpenSSL writes at most as much as it has room for.
    unsafe plaintext.withUnsafeMutableBufferPointer { target in
      lending(wire) { unsafe read(into: target, &outcome) }
    }
    // An end, or an error, comes alone: whoever is given the plaintext before it may want to wait with the rest.
    if outcome.count > 0, hasEnded || pendingError != nil {
      outcome.next = .repeatCall
    } else if let pendingError {
      throw pendingError
    }
    return outcome
  }

  private func read(into target: UnsafeMutableBufferPointer<UInt8>, _ outcome: inout TLSDecryption) {
    guard let base = target.baseAddress else { return }
    while true {
      guard outcome.count < target.count else {
        outcome.next = .repeatCall
        return
      }
      let count = unsafe SSL_read(ssl, base + outcome.count, Int32(clamping: target.count - outcome.count))
      if wasAskedToRenegotiate {
        fail(TLSError(.broken, "the peer asked for a renegotiation, which is not allowed"))
        return
      }
      if count > 0 {
        outcome.count += Int(count)
        // Saves the call that would only find out that there is no more.
        if unsafe io.pointee.isDrained, unsafe SSL_has_pending(ssl) == 0 { return }
        continue
      }
      switch unsafe SSL_get_error(ssl, count) {
      case SSL_ERROR_WANT_READ: break
      case SSL_ERROR_ZERO_RETURN:
        hasEnded = true
        outcome.next = .end
      default: fail(takeError(.broken))
      }
      return
    }
  }

  func encrypt(_ plaintext: Span<UInt8>, to wire: any TLSWire) throws(TLSError) {
    guard plaintext.count > 0 else { return }
    var failure: TLSError?
    // OpenSSL only reads, and at most the span's count.
    unsafe plaintext.withUnsafeBufferPointer { bytes in
      lending(wire) {
        var done = 0
        while done < bytes.count, failure == nil {
          let part = unsafe UnsafeBufferPointer(rebasing: bytes[done...])
          let count = unsafe SSL_write(ssl, part.baseAddress, Int32(clamping: part.count))
          // All is taken, since the wire takes everything: anything else is a failure.
          if count > 0 { done += Int(count) } else { failure = takeError(.broken) }
        }
      }
    }
    if let failure { throw failure }
  }

  func close(over wire: any TLSWire) {
    guard !hasFailed else { return }
    lending(wire) { _ = unsafe SSL_shutdown(ssl) }
  }

  private func fail(_ error: TLSError) {
    hasFailed = true
    pendingError = error
  }

  private func takeError(_ code: TLSError.Code) -> TLSError {
    hasFailed = true
    let (number, reason) = OpenSSLErrors.take()
    let isVerification =
      copenssl_error_lib(number) == ERR_LIB_SSL && copenssl_error_reason(number) == SSL_R_CERTIFICATE_VERIFY_FAILED
    return TLSError(isVerification ? .certificate : code, reason, verification: isVerification ? verification : nil)
  }

  var info: TLSInfo {
    let cipher = unsafe SSL_get_current_cipher(ssl)
    var info = TLSInfo(
      version: unsafe String(cString: SSL_get_version(ssl)),
      cipher: unsafe String(cString: SSL_CIPHER_get_name(cipher)),
      cipherBits: Int(unsafe SSL_CIPHER_get_bits(cipher, nil)), isResumed: unsafe SSL_session_reused(ssl) == 1,
      peerCertificates: peerCertificates)
    var name: UnsafePointer<UInt8>?
    var length: UInt32 = 0
    unsafe SSL_get0_alpn_selected(ssl, &name, &length)
    if let name = unsafe name {
      info.alpnProtocol = unsafe String(
        decoding: UnsafeBufferPointer(start: name, count: Int(length)), as: UTF8.self)
    }
    if let text = unsafe SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name) {
      info.serverName = unsafe String(cString: text)
    }
    return info
  }

  private var peerCertificates: [[UInt8]] {
    guard let own = unsafe SSL_get1_peer_certificate(ssl) else { return [] }
    defer { unsafe X509_free(own) }
    var certificates = [unsafe TLSCertificate.encoding(of: own)]
    // The chain stays OpenSSL's. A client's view of it begins with the peer's own certificate, a server's does not.
    guard let chain = unsafe SSL_get_peer_cert_chain(ssl) else { return certificates }
    for index in (role == .server ? 0 : 1)..<max(1, unsafe copenssl_certificate_count(chain)) {
      if let certificate = unsafe copenssl_certificate_at(chain, index) {
        certificates.append(unsafe TLSCertificate.encoding(of: certificate))
      }
    }
    return certificates
  }
}

/// What an engine lends OpenSSL for the length of one call: the wire.
///
/// OpenSSL reads and writes through a "BIO" whose functions are below. There is no buffer in between: the wire has
/// OpenSSL's own, for what it receives and for what it sends.
@unsafe
private struct EngineIO {
  /// Where encrypted bytes come from and go to; nil between calls, when none come and those that go are dropped. Not
  /// counted: the caller holds it for as long as it is here.
  unowned(unsafe) var wire: (any TLSWire)?
  /// Whether the wire has told in this call that it has no more now.
  var isDrained = false

  init() { unsafe wire = nil }
}

private enum EngineBIO {
  /// Everything that a BIO may say of its last call.
  private static let flags = BIO_FLAGS_READ | BIO_FLAGS_WRITE | BIO_FLAGS_IO_SPECIAL | BIO_FLAGS_SHOULD_RETRY

  /// The functions of the BIOs of all engines. Made once, changed by nobody, kept for ever.
  private nonisolated(unsafe) static let method: OpaquePointer? = {
    let type = BIO_get_new_index() | BIO_TYPE_SOURCE_SINK
    guard let method = unsafe BIO_meth_new(type, "AsyncIO engine") else { return nil }
    unsafe BIO_meth_set_read(method, receive)
    unsafe BIO_meth_set_write(method, send)
    unsafe BIO_meth_set_ctrl(method) { _, command, _, _ in command == BIO_CTRL_FLUSH ? 1 : 0 }
    return unsafe method
  }()

  /// A BIO on the engine's `io`, which must outlive it.
  static func make(_ io: UnsafeMutablePointer<EngineIO>) -> OpaquePointer? {
    guard let method = unsafe method, let bio = unsafe BIO_new(method) else { return nil }
    unsafe BIO_set_data(bio, io)
    unsafe BIO_set_init(bio, 1)
    return unsafe bio
  }

  private static func io(_ bio: OpaquePointer?) -> UnsafeMutablePointer<EngineIO>? {
    unsafe BIO_get_data(bio)?.assumingMemoryBound(to: EngineIO.self)
  }

  private static let receive: @convention(c) (OpaquePointer?, UnsafeMutablePointer<CChar>?, Int32) -> Int32 = {
    bio, target, size in
    unsafe BIO_clear_flags(bio, EngineBIO.flags)
    guard let io = unsafe EngineBIO.io(bio), let wire = unsafe io.pointee.wire, let target = unsafe target, size > 0
    else { return unsafe EngineBIO.retry(bio) }
    // OpenSSL's target has room for `size` bytes, and is its own.
    let room = unsafe UnsafeMutableRawBufferPointer(start: target, count: Int(size))
    var span = unsafe MutableSpan<UInt8>(_unsafeBytes: room)
    let count = wire.read(into: &span)
    unsafe io.pointee.isDrained = count < Int(size)
    return unsafe count > 0 ? Int32(count) : EngineBIO.retry(bio)
  }

  /// Says that there is nothing to read now.
  private static func retry(_ bio: OpaquePointer?) -> Int32 {
    unsafe BIO_set_flags(bio, BIO_FLAGS_READ | BIO_FLAGS_SHOULD_RETRY)
    return -1
  }

  private static let send: @convention(c) (OpaquePointer?, UnsafePointer<CChar>?, Int32) -> Int32 = {
    bio, source, size in
    unsafe BIO_clear_flags(bio, EngineBIO.flags)
    guard let io = unsafe EngineBIO.io(bio), let source = unsafe source, size > 0 else { return 0 }
    // OpenSSL's source holds `size` bytes, and stays as it is for the length of the call.
    let bytes = unsafe UnsafeRawBufferPointer(start: source, count: Int(size))
    unsafe io.pointee.wire?.write(Span(_unsafeBytes: bytes))
    return size
  }
}
