// SPDX-License-Identifier: Apache-2.0
import Synchronization

/// A reference to something of a loop's, for any thread to keep and to drop: the object is used, and let go of, on the loop's
/// thread alone.
final class LoopReference<Object: AnyObject>: Sendable {
  /// Emptied on the loop's thread. After that any thread may be the last to release it, since nothing is in it.
  private final class Holder: Sendable {
    private let content: Mutex<LoopBound<Object>?>

    init(_ object: Object) { content = Mutex(LoopBound(object)) }

    var object: Object? { content.withLock { $0 }?.value }

    func empty() { _ = content.withLock { $0.take() } }
  }

  private let holder: Holder
  let door: JobDoor

  init(_ object: Object, _ door: JobDoor) {
    holder = Holder(object)
    self.door = door
  }

  deinit {
    let holder = holder
    door.runOnLoop { holder.empty() }
  }

  /// The object. For the loop's thread alone: another thread's reference might be the last, and release it there.
  var object: Object {
    guard let object = holder.object else { misuse("an object was used after its last reference was dropped") }
    return object
  }
}
