// SPDX-License-Identifier: Apache-2.0

/// A reference that somebody else has, handed on without being counted: whoever has no use for it, as for the handle of most calls,
/// pays nothing for it.
///
/// It is to be taken, or let go, at once, while the other reference is there.
@safe
@usableFromInline
struct LentReference<Object: AnyObject> {
  @usableFromInline
  let reference: Unmanaged<Object>

  init(_ object: borrowing Object) { unsafe reference = Unmanaged.passUnretained(object) }

  /// The object, counted from here on.
  @inlinable
  var object: Object { unsafe reference.takeUnretainedValue() }
}
