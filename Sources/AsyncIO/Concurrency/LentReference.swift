// SPDX-License-Identifier: Apache-2.0

/// A reference that somebody else has, handed on without being counted: whoever has no use for it, as for the handle of most calls,
/// or needs it for one call, as for a watcher, pays nothing for it.
///
/// It is to be taken, used or let go at once, while the other reference is there.
@safe
@usableFromInline
struct LentReference<Object: AnyObject> {
  @usableFromInline
  let reference: Unmanaged<Object>

  init(_ object: borrowing Object) { unsafe reference = Unmanaged.passUnretained(object) }

  /// Uses the object, which somebody keeps until that has ended.
  @inline(__always)
  func use(_ body: (Object) -> Void) { unsafe reference._withUnsafeGuaranteedRef(body) }

  /// The object, counted from here on.
  @inlinable
  var object: Object { unsafe reference.takeUnretainedValue() }
}
