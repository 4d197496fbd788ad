// SPDX-License-Identifier: Apache-2.0
import COpenSSL

/// What an engine lends OpenSSL for the length of one call: bytes to read, and a place for those that it writes.
///
/// OpenSSL reads and writes through a "BIO" whose functions are below. There is no buffer in between: received bytes are
/// copied once, into OpenSSL's record buffer, and encrypted ones once, out of it.
@unsafe
struct EngineIO {
  /// The next byte that was received; nil between calls.
  var input: UnsafePointer<UInt8>?
  /// How many bytes were received and not read.
  var left = 0
  /// Where encrypted bytes go; nil between calls, and then they are dropped.
  var output: UnsafeMutablePointer<[UInt8]>?

  init() {
    unsafe input = nil
    unsafe output = nil
  }
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
    guard let io = unsafe EngineBIO.io(bio), let target = unsafe target, let input = unsafe io.pointee.input,
      unsafe io.pointee.left > 0, size > 0
    else {
      unsafe BIO_set_flags(bio, BIO_FLAGS_READ | BIO_FLAGS_SHOULD_RETRY)
      return -1
    }
    let count = unsafe min(io.pointee.left, Int(size))
    // OpenSSL's target has room for `size` bytes, and the input has at least `left`.
    unsafe UnsafeMutableRawPointer(target).copyMemory(from: input, byteCount: count)
    unsafe io.pointee.input = input + count
    unsafe io.pointee.left -= count
    return Int32(count)
  }

  private static let write: @convention(c) (OpaquePointer?, UnsafePointer<CChar>?, Int32) -> Int32 = {
    bio, source, size in
    unsafe BIO_clear_flags(bio, EngineBIO.flags)
    guard let io = unsafe EngineBIO.io(bio), let source = unsafe source, size > 0 else { return 0 }
    if let output = unsafe io.pointee.output {
      unsafe output.pointee.append(contentsOf: UnsafeRawBufferPointer(start: source, count: Int(size)))
    }
    return size
  }
}
