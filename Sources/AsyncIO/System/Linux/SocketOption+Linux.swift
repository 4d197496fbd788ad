// SPDX-License-Identifier: Apache-2.0
#if os(Linux)
  import Glibc

  extension SocketOption where Value == Int32 {
    /// The address family, as a platform number; read-only. `SO_DOMAIN`.
    static var family: Self { Self(level: SOL_SOCKET, name: SO_DOMAIN) }
  }
#endif
