// SPDX-License-Identifier: Apache-2.0
import SystemPackage

extension EventLoop {
  /// Connects a non-blocking socket, which stays the caller's.
  func connect(_ socket: Socket, to address: SocketAddress) async throws {
    while true {
      do throws(IOError) {
        try socket.connect(to: address)
        return
      } catch {
        if error.code == .nowInProgress { break }
        guard error.code == .wouldBlock, address.family == .unix else { throw error }
      }
      // A unix listener whose queue is full: nothing tells when there is room again.
      try await sleep(for: .milliseconds(1))
    }
    do {
      try await waitUntilReady(socket, for: .write, "connect")
    } catch let error as IOError where error.code != .canceled {
      // Of many attempts the reader has to know which.
      throw IOError(error.code, "connect", address.description)
    }
    let code = try socket.option(.pendingError)
    if code != 0 { throw IOError(Errno(rawValue: code), "connect", address.description) }
  }
}
