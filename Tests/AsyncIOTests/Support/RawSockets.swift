// SPDX-License-Identifier: Apache-2.0
import Glibc

/// Sets `SO_LINGER` to zero seconds, so that closing the descriptor resets the connection.
func lingerZero(_ descriptor: Int32) -> Int32 {
  var value = linger(l_onoff: 1, l_linger: 0)
  return setsockopt(descriptor, SOL_SOCKET, SO_LINGER, &value, socklen_t(MemoryLayout<linger>.size))
}
