// SPDX-License-Identifier: Apache-2.0
import SystemPackage

@testable import AsyncIO

extension FileDescriptor {
  /// A pipe that no child inherits. One that another test starts at the same time would keep it from ending.
  static func privatePipe() throws -> (readEnd: FileDescriptor, writeEnd: FileDescriptor) {
    let ends = try LinuxKernel.shared.makePipe()
    return (ends.reading, ends.writing)
  }
}
