// SPDX-License-Identifier: Apache-2.0
import CAsyncIO

// Numbers of the platform, by name, for those who answer in its place.

extension ResolutionError {
  /// What a look-up fails with.
  package enum Code {
    /// There is no such name. `EAI_NONAME`.
    package static let noName = EAI_NONAME
    /// No name server answers just now. `EAI_AGAIN`.
    package static let tryAgain = EAI_AGAIN
    /// The name servers fail for good. `EAI_FAIL`.
    package static let failure = EAI_FAIL
    /// There is no such service. `EAI_SERVICE`.
    package static let noService = EAI_SERVICE
    /// The name has no address of the family. `EAI_ADDRFAMILY` is not standard.
    package static let family = EAI_FAMILY
  }
}

extension SocketOption<Int32> {
  /// What `SO_LINGER` is called, for its level and name.
  package static var linger: Self { Self(level: SOL_SOCKET, name: SO_LINGER) }
  package static var socketKind: Self { .kind }
  package static var socketFamily: Self { .family }
}

/// The value of `SO_LINGER`, as the platform lays it out.
package enum LingerValue {
  /// Nil when it is off.
  package static func seconds(_ bytes: Span<UInt8>) -> Int32? {
    guard bytes.count >= MemoryLayout<linger>.size else { return nil }
    // Any bytes are a value of the C type, and there are enough.
    let value = unsafe bytes.withUnsafeBytes { unsafe $0.loadUnaligned(as: linger.self) }
    return value.l_onoff == 0 ? nil : value.l_linger
  }

  package static func bytes(_ seconds: Int32?) -> [UInt8] {
    // The C type has no padding.
    unsafe withUnsafeBytes(of: linger(l_onoff: seconds == nil ? 0 : 1, l_linger: seconds ?? 0)) { unsafe Array($0) }
  }
}
