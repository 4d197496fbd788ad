// SPDX-License-Identifier: Apache-2.0
import AsyncIOTLS
import Synchronization

@testable import AsyncIO

/// Engines of a context, counted, and failing when the test says so.
final class ProbedTLS: TLSProvider {
  struct State {
    var living = 0
    var made = 0
    /// How many more calls of `encrypt` succeed; nil for all.
    var encryptionsLeft: Int?
  }

  fileprivate let state = Mutex(State())
  private let context: TLSContext

  init(_ context: TLSContext) { self.context = context }

  var living: Int { state.withLock { $0.living } }
  var made: Int { state.withLock { $0.made } }

  /// Has `encrypt` fail after so many calls more.
  func failEncryption(after count: Int) { state.withLock { $0.encryptionsLeft = count } }

  func makeEngine(for role: TLSRole) throws(TLSError) -> any TLSEngine {
    ProbedEngine(try context.makeEngine(for: role), self)
  }
}

private final class ProbedEngine: TLSEngine {
  private let real: any TLSEngine
  private let provider: ProbedTLS

  init(_ real: any TLSEngine, _ provider: ProbedTLS) {
    self.real = real
    self.provider = provider
    provider.state.withLock {
      $0.living += 1
      $0.made += 1
    }
  }

  deinit { provider.state.withLock { $0.living -= 1 } }

  var info: TLSInfo { real.info }

  func handshake(over wire: any TLSWire) throws(TLSError) -> Bool { try real.handshake(over: wire) }

  func decrypt(from wire: any TLSWire, into plaintext: inout MutableSpan<UInt8>) throws(TLSError) -> TLSDecryption {
    try real.decrypt(from: wire, into: &plaintext)
  }

  func encrypt(_ plaintext: Span<UInt8>, to wire: any TLSWire) throws(TLSError) {
    let fails = provider.state.withLock { state in
      guard let left = state.encryptionsLeft else { return false }
      state.encryptionsLeft = left - 1
      return left <= 0
    }
    if fails { throw TLSError(.broken, "encryption failed, as the test wants it") }
    try real.encrypt(plaintext, to: wire)
  }

  func close(over wire: any TLSWire) { real.close(over: wire) }
}
