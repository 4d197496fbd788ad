// SPDX-License-Identifier: Apache-2.0
import SystemPackage

/// The file of a bound unix socket, which stays behind unless somebody removes it.
struct SocketFile {
  private let path: FilePath
  private let status: FileStatus
  private let kernel: any Kernel

  /// The file of a socket that was just bound; nil for an address that has none.
  init?(of address: SocketAddress, kernel: any Kernel) {
    guard let path = address.unixPath, let status = try? kernel.fileStatus(path) else { return nil }
    self.path = path
    self.status = status
    self.kernel = kernel
  }

  /// Removes the file, unless someone else has taken the path meanwhile.
  func remove() {
    if (try? kernel.fileStatus(path)) == status { try? kernel.unlink(path) }
  }

  /// Removes a socket file that nobody receives at any more. One that is in use stays, as any other file does.
  static func removeStale(at address: SocketAddress, _ kind: SocketKind, kernel: any Kernel) throws(IOError) {
    guard let path = address.unixPath, let status = try? kernel.fileStatus(path), status.isSocket else { return }
    let probe = try Socket(.unix, kind, transportProtocol: 0, kernel: kernel)
    defer { probe.close() }
    do throws(IOError) {
      try probe.connect(to: address)
    } catch {
      guard error.code == .connectionRefused else { return }
      try? kernel.unlink(path)
    }
  }
}
