// SPDX-License-Identifier: Apache-2.0
import Synchronization
import SystemPackage

/// Descriptors that were handed to us blocking and are non-blocking for as long as we have them.
///
/// The mode is one of the open file, which descriptors share: standard input, output and error with one another and
/// with the shell that started the program, when all of them are one terminal. So it has to be put back, else the
/// shell's next read fails; and when one descriptor's mode is put back, others that share the file need it non-blocking
/// still. That the mode of those changed for a moment tells which they are.
enum BorrowedBlockingMode {
  /// The descriptors that were borrowed, and whether each has to be made blocking again. Process-wide, as they are.
  private static let borrowed = Mutex<[Int32: Bool]>([:])

  /// Makes a descriptor non-blocking until it is given back.
  static func borrow(_ descriptor: FileDescriptor, _ kernel: any Kernel) throws(Errno) {
    try borrowed.withLock { (borrowed) throws(Errno) in
      let wasBlocking = try !kernel.isNonBlocking(descriptor)
      if wasBlocking { try kernel.setNonBlocking(descriptor, true) }
      borrowed[descriptor.rawValue] = wasBlocking
    }
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
}
