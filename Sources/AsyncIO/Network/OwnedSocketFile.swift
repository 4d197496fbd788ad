// SPDX-License-Identifier: Apache-2.0

/// The file of a server's unix socket, to be removed with the server, or with the loop if that is first.
struct OwnedSocketFile {
  private let file: SocketFile
  /// Takes back what is to happen when the loop closes.
  private let forget: () -> Void

  init(_ file: SocketFile, _ loop: EventLoop) {
    self.file = file
    forget = loop.onClose(file.remove)
  }

  func remove() {
    forget()
    file.remove()
  }

  /// Leaves the file where it is, for good.
  func leave() { forget() }
}
