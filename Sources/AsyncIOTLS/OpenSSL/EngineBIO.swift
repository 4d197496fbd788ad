// SPDX-License-Identifier: Apache-2.0
import AsyncIO
import COpenSSL

/// What an engine lends OpenSSL for the length of one call: the wire.
///
/// OpenSSL reads and writes through a "BIO" whose functions are below. There is no buffer in between: the wire has
/// OpenSSL's own, for what it receives and for what it sends.
@unsafe
struct EngineIO {
  /// Where encrypted bytes come from and go to; nil between calls, when none come and those that go are dropped. Not
  /// counted: the caller holds it for as long as it is here.
  unowned(unsafe) var wire: (any TLSWire)?
  /// Whether the wire has told in this call that it has no more now.
  var isDrained = false

  init() { unsafe wire = nil }
}

enum EngineBIO {
  /// Everything that a BIO may say of its last call.
  private static let flags = BIO_FLAGS_READ | BIO_FLAGS_WRITE | BIO_FLAGS_IO_SPECIAL | BIO_FLAGS_SHOULD_RETRY

  /// The functions of the BIOs of all engines. Made once, changed by nobody, kept for ever.
  private nonisolated(unsafe) static let method: OpaquePointer? = {
    let type = BIO_get_new_index() | BIO_TYPE_SOURCE_SINK
    guard let method = unsafe BIO_meth_new(type, "AsyncIO engine") else { return nil }
    unsafe BIO_meth_set_read(method, read)
    unsafe BIO_meth_set_write(method, write)
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

  private static let read: @convention(c) (OpaquePointer?, UnsafeMutablePointer<CChar>?, Int32) -> Int32 = {
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

  private static let write: @convention(c) (OpaquePointer?, UnsafePointer<CChar>?, Int32) -> Int32 = {
    bio, source, size in
    unsafe BIO_clear_flags(bio, EngineBIO.flags)
    guard let io = unsafe EngineBIO.io(bio), let source = unsafe source, size > 0 else { return 0 }
    // OpenSSL's source holds `size` bytes, and stays as it is for the length of the call.
    let bytes = unsafe UnsafeRawBufferPointer(start: source, count: Int(size))
    unsafe io.pointee.wire?.write(Span(_unsafeBytes: bytes))
    return size
  }
}
