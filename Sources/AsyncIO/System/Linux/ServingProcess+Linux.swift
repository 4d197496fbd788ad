// SPDX-License-Identifier: Apache-2.0
#if os(Linux)
  package import SystemPackage

  extension ServingProcess {
    /// A path at which the process finds the program that it runs, also where its file was moved or replaced meanwhile.
    package static var ownProgram: FilePath { "/proc/self/exe" }
  }
#endif
