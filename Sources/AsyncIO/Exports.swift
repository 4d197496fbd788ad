// SPDX-License-Identifier: Apache-2.0

// `FileDescriptor` and `Errno` are part of what a program says to a loop.
@_exported public import SystemPackage
