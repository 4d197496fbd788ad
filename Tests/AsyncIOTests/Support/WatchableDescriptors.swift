// SPDX-License-Identifier: Apache-2.0
import Glibc
import SystemPackage

@testable import AsyncIO

/// The kinds of descriptors that a program may have watched.
enum WatchableKind: CaseIterable, Sendable {
  case pipe, socketPair, counter, terminal

  /// A descriptor that can be read from once something was written to the other, which may be the same.
  func open() throws -> (reading: FileDescriptor, writing: FileDescriptor) {
    switch self {
    case .pipe:
      let (reading, writing) = try FileDescriptor.privatePipe()
      return (reading, writing)
    case .socketPair:
      return try LinuxKernel.shared.makeSocketPair(.stream)
    case .counter:
      let counter = try LinuxKernel.shared.makeCounter()
      return (counter, counter)
    case .terminal:
      return try openTerminal()
    }
  }
}

/// A pseudo-terminal: what is written to its terminal end arrives at the other.
func openTerminal() throws -> (reading: FileDescriptor, writing: FileDescriptor) {
  // The C library's calls for this are not imported; these are what they do. TIOCSPTLCK, TIOCGPTN.
  let master = Glibc.open("/dev/ptmx", O_RDWR | O_NOCTTY | O_CLOEXEC)
  var (lock, number): (Int32, Int32) = (0, 0)
  guard master >= 0, ioctl(master, 0x4004_5431, &lock) == 0, ioctl(master, 0x8004_5430, &number) == 0 else {
    throw Errno(rawValue: errno)
  }
  let terminal = Glibc.open("/dev/pts/\(number)", O_RDWR | O_NOCTTY | O_CLOEXEC)
  guard terminal >= 0 else { throw Errno(rawValue: errno) }
  return (FileDescriptor(rawValue: master), FileDescriptor(rawValue: terminal))
}

extension FileDescriptor {
  /// Makes it readable, or its other end: eight bytes are what a counter takes.
  func poke() throws { try writeAll([1, 0, 0, 0, 0, 0, 0, 0]) }

  /// Takes away what makes it readable.
  func drain() throws {
    var bytes = [UInt8](repeating: 0, count: 64)
    _ = try bytes.withUnsafeMutableBytes { try read(into: $0) }
  }
}
