// SPDX-License-Identifier: Apache-2.0
import CAsyncIO

/// Has the processor fetch an object that will be used soon.
@inline(__always)
func prefetch(_ object: borrowing AnyObject) {
  unsafe casyncio_prefetch(Unmanaged.passUnretained(copy object).toOpaque())
}
