// SPDX-License-Identifier: Apache-2.0

/// A variable of one thread's own, without the run-time check against overlapping accesses, which would cost a tenth of
/// a callback for each queue that it passes through.
///
/// Sound as long as nobody is called while the value is being changed: whoever uses one sees to it that its methods
/// return what they let go of, rather than release it.
@safe
final class UncheckedCell<Value: ~Copyable> {
  @exclusivity(unchecked) private var storage: Value

  init(_ value: consuming Value) { unsafe storage = value }

  var value: Value {
    @inline(__always) _read { yield unsafe storage }
    @inline(__always) _modify { yield unsafe &storage }
  }

  /// Changes the value.
  @inline(__always)
  func update<Result: ~Copyable>(_ change: (inout Value) -> Result) -> Result { unsafe change(&storage) }
}
