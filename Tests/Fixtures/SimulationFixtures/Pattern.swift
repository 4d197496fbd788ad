// SPDX-License-Identifier: Apache-2.0

/// So many bytes that tell where they stand.
package func pattern(_ count: Int) -> [UInt8] {
  // Cut from a longer one, since it takes a while to make one.
  if count <= longPattern.count { return Array(longPattern[..<count]) }
  var bytes = longPattern
  while bytes.count < count { bytes += longPattern }
  return Array(bytes[..<count])
}

private let longPattern: [UInt8] = (0..<100_003).map { UInt8(truncatingIfNeeded: $0 &* 31 &+ $0 >> 8) }
