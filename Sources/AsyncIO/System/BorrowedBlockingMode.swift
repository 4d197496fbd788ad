// SPDX-License-Identifier: Apache-2.0
import CAsyncIO
import Synchronization
import SystemPackage

/// Descriptors that were handed to us blocking, and must not block us.
///
/// The mode is one of the open file, which descriptors share: standard input, output and error with one another, with
/// the shell that started the program, and with every child that inherits them. To change it is to break all of those
/// that expect a call to wait, and it outlives a process that is killed. So it is left alone where it can be: the
/// calls on a socket can be told not to wait, and a pipe or a terminal can be opened once more, for an open file of our
/// own.
///
/// Where neither works, the mode is changed for as long as we have the descriptor, and put back at the process's exit at
/// the latest. When one descriptor's mode is put back, that of others which share the open file becomes blocking with it.
/// By this they are known, and made non-blocking again.
enum BorrowedBlockingMode {
  /// The descriptors whose mode was changed, and whether each has to be made blocking again. Process-wide, as they are.
  private static let borrowed = Mutex<[Int32: Bool]>([:])

  /// The descriptor to work on, whose calls do not wait: the same one, or one of our own that stands for the same.
  static func borrow(
    _ descriptor: FileDescriptor, _ kind: FileKind, for direction: Interest, _ kernel: any Kernel
  ) throws(Errno) -> FileDescriptor {
    if kind == .socket { return descriptor }
    let wasBlocking = try !kernel.isNonBlocking(descriptor)
    if wasBlocking, let own = try? kernel.reopen(descriptor, for: direction) { return own }
    try borrowed.withLock { (borrowed) throws(Errno) in
      if wasBlocking { try kernel.setNonBlocking(descriptor, true) }
      borrowed[descriptor.rawValue] = wasBlocking
    }
    if wasBlocking { _ = givesBackAtExit }
    return descriptor
  }

  /// Puts the mode back. It comes before the descriptor is closed; one that was not borrowed is left alone.
  static func giveBack(_ descriptor: FileDescriptor, _ kernel: any Kernel) {
    borrowed.withLock { borrowed in
      // A mode that cannot be set belongs to a descriptor that somebody closed behind our back.
      guard borrowed.removeValue(forKey: descriptor.rawValue) == true,
        (try? kernel.setNonBlocking(descriptor, false)) != nil
      else { return }
      for other in borrowed.keys {
        let sharer = FileDescriptor(rawValue: other)
        guard (try? kernel.isNonBlocking(sharer)) == false else { continue }
        try? kernel.setNonBlocking(sharer, true)
        borrowed[other] = true
      }
    }
  }

  /// A program may call `exit` at any place, with its loops as they are. Nothing helps against a signal that kills.
  private static let givesBackAtExit: Void = ProcessExit.addHandler { giveBackAll() }

  private static func giveBackAll() {
    // Without waiting for the lock: at the process's exit its holder may be a thread that never goes on.
    _ = borrowed.withLockIfAvailable { borrowed in
      for (number, wasBlocking) in borrowed where wasBlocking {
        try? platformKernel.setNonBlocking(FileDescriptor(rawValue: number), false)
      }
    }
  }
}
