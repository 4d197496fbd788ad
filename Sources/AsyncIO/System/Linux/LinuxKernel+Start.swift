// SPDX-License-Identifier: Apache-2.0
#if os(Linux)
  import Glibc
  package import SystemPackage

  extension LinuxKernel {
    /// Of the process: there is one such kernel.
    private static let taken = TakenLegacies()

    package var processID: Int32 { getpid() }

    package func environmentVariable(_ name: String) -> [UInt8]? { Environment.bytes(name) }

    package var firstPassedDescriptor: Int32 { 3 }

    package func claim(_ legacy: Legacy) -> Bool { LinuxKernel.taken.claim(legacy) }

    package func setCloseOnExec(_ descriptor: FileDescriptor) throws(Errno) {
      _ = try systemCall { fcntl(descriptor.rawValue, F_SETFD, FD_CLOEXEC) }
    }
  }
#endif
