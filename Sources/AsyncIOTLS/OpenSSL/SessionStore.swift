// SPDX-License-Identifier: Apache-2.0
import COpenSSL
import Synchronization

/// A session that may be taken up again.
///
/// OpenSSL counts references to sessions atomically, and of a session that was handed out it changes no more than the mark
/// that it is spoilt: any thread may hold one.
@safe
final class SavedSession: @unchecked Sendable {
  /// Ours from `init` to `deinit`.
  let pointer: OpaquePointer

  init(owning pointer: OpaquePointer) { unsafe self.pointer = pointer }
  deinit { unsafe SSL_SESSION_free(pointer) }

  var isResumable: Bool { unsafe SSL_SESSION_is_resumable(pointer) == 1 }

  /// Whether it is to be used but once, so that nobody can tell that two connections are the same client's.
  var isForOneUse: Bool { unsafe SSL_SESSION_get_protocol_version(pointer) >= TLS1_3_VERSION }
}

/// The latest sessions of a client, by the name of the server.
final class SessionStore: Sendable {
  /// How many servers are remembered, and how many sessions of each.
  private static let serverLimit = 256
  private static let sessionLimit = 2

  private struct State {
    var sessions: [String: [SavedSession]] = [:]
    /// The servers in the order in which they were first met.
    var servers: [String] = []
  }

  private let state = Mutex(State())

  func add(_ session: SavedSession, _ server: String) {
    state.withLock { state in
      if state.sessions[server] == nil {
        state.servers.append(server)
        if state.servers.count > SessionStore.serverLimit { state.sessions[state.servers.removeFirst()] = nil }
      }
      state.sessions[server, default: []].append(session)
      if state.sessions[server, default: []].count > SessionStore.sessionLimit {
        state.sessions[server]?.removeFirst()
      }
    }
  }

  func take(_ server: String) -> SavedSession? {
    state.withLock { state in
      // OpenSSL spoils the session of a connection that was not closed as it should be.
      state.sessions[server]?.removeAll { !$0.isResumable }
      guard let latest = state.sessions[server]?.last else { return nil }
      if latest.isForOneUse { state.sessions[server]?.removeLast() }
      return latest
    }
  }
}
