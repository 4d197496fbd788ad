// SPDX-License-Identifier: Apache-2.0
import SystemPackage

@testable import AsyncIO

/// What the process was started with, as a test has it.
extension TestKernel {
  var processID: Int32 { real.processID }

  func environmentVariable(_ name: String) -> [UInt8]? { environment.current[name].map { Array($0.utf8) } }

  var firstPassedDescriptor: Int32 { firstPassed.current }

  func claim(_ legacy: Legacy) -> Bool { legacies.claim(legacy) }

  func setCloseOnExec(_ descriptor: FileDescriptor) throws(Errno) { try real.setCloseOnExec(descriptor) }
}
