// SPDX-License-Identifier: Apache-2.0

/// A value that belongs to one loop's thread, inside of what the compiler wants to be able to send.
///
/// This is where we, not the compiler, vouch for the isolation, and so each use has to be one of these:
///
/// - The closure that carries it is run on the loop's own thread: it is the body of a task that prefers the loop's executor, or
///   goes through the loop's queue (`JobDoor.runOnLoop`, a threadsafe call). A closure that may come too late for its loop is
///   dropped wherever it is; what it carries is then either harmless to release there, or taken out before.
/// - The value was sent in (`sending`), so that nothing else refers to it, and a lock gives it to one taker (``HandOver``,
///   `RemoteCallback`).
/// - Any thread keeps it, and looks at it only where it has made sure to be on the loop's thread (`JobDoor`, `LoopReference`).
///
/// A loop is never run by two threads at once, and a change of its thread passes through the mailbox's lock, so that what one
/// thread has written the next one sees. What a program can do against the first of these, by replacing the preference inside
/// of a task, the standard library lets it do to any actor's state as well; the loop's own objects trap there.
@usableFromInline
package struct LoopBound<Value>: @unchecked Sendable {
  @usableFromInline package let value: Value
  @inlinable package init(_ value: Value) { self.value = value }
}
