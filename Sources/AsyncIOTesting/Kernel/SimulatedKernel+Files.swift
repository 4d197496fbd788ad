// SPDX-License-Identifier: Apache-2.0
import AsyncIO
import SystemPackage

// Files are the real ones: a server sends what is there. Their descriptors are the process's own.

extension SimulatedKernel {
  /// The kernel that knows a file; an error for a descriptor of the host's own, which is none.
  private func real(_ file: FileDescriptor) throws(Errno) -> any Kernel {
    if file.rawValue >= SimulatedKernel.firstNumber {
      throw files[file.rawValue] == nil ? .badFileDescriptor : .illegalSeek
    }
    return platformKernel
  }

  /// The way of the real kernel from a file to a socket does not lead here: so the file is read, and what was read is sent.
  func sendFile(
    _ descriptor: FileDescriptor, from file: FileDescriptor, offset: Int64, count: Int
  ) throws(Errno) -> Int {
    throw .noFunction
  }

  func readFile(_ file: FileDescriptor, offset: Int64, into buffer: inout MutableSpan<UInt8>) throws(Errno) -> Int {
    try real(file).readFile(file, offset: offset, into: &buffer)
  }

  func seekFile(_ file: FileDescriptor, to offset: Int64) throws(Errno) {
    try real(file).seekFile(file, to: offset)
  }
}
