// SPDX-License-Identifier: Apache-2.0
import SystemPackage

extension StreamTransport {
  func writeEncrypted(_ bytes: Span<UInt8>, _ stage: TLSStage) {
    defer { settle() }
    var done = 0
    while done < bytes.count, backlog == nil, stage.wire.pending.isEmpty, !state.isHandshaking {
      let part = bytes.extracting(done..<min(bytes.count, done + TLSStage.chunk))
      do throws(TLSError) {
        try encrypt(part, stage)
        noteSending(stage)
      } catch {
        end(error.with(name))
      }
      if !state.canSend { return }
      done += part.count
      if !stage.wire.pending.isEmpty { stage.encryptedCount = part.count }
    }
    keep(bytes.extracting(done...))
    tellFlow()
  }

  func writeLinesEncrypted(_ lines: [[UInt8]], _ stage: TLSStage) {
    defer { settle() }
    let mayGo = backlog == nil && stage.wire.pending.isEmpty && !state.isHandshaking
    // All of them first, so that small ones share a record.
    keep(lines)
    if mayGo { encryptBuffer(stage, chunks: .max) }
    if !state.canSend { return }
    tellFlow()
  }

  /// Encrypts and sends. What takes several records goes out by one system call.
  private func encrypt(_ bytes: Span<UInt8>, _ stage: TLSStage) throws(TLSError) {
    if bytes.count > TLSStage.recordLimit { stage.wire.beginJoining(&memory.outgoingCiphertext) }
    defer { stage.wire.endJoining(&memory.outgoingCiphertext) }
    try stage.engine.encrypt(bytes, to: stage.wire)
  }

  /// Encrypts and sends what is buffered.
  func encryptBuffer(_ stage: TLSStage, chunks: Int, stopsWhenBlocked: Bool = true) {
    var left = chunks
    while left > 0, let backlog, stage.wire.pending.isEmpty || !stopsWhenBlocked {
      left -= 1
      var count = 0
      do throws(TLSError) {
        try backlog.bytes.withFront(TLSStage.chunk, gathering: &memory.gatheredPlaintext) { (part) throws(TLSError) in
          count = part.count
          try encrypt(part, stage)
        }
        noteSending(stage)
      } catch {
        end(error.with(name))
      }
      if !state.canSend { return }
      dropKept(count)
      stage.encryptedCount = stage.wire.pending.isEmpty ? 0 : stage.encryptedCount + count
    }
  }

  func flushEncrypted(_ stage: TLSStage) {
    stage.wire.flush()
    noteSending(stage)
    guard state.canSend else { return }
    stage.encryptedCount = min(stage.encryptedCount, stage.wire.pending.count)
    if !state.isHandshaking { encryptBuffer(stage, chunks: TLSStage.chunksPerTurn) }
    guard state.canSend else { return }
    tellFlow()
    // The protocol may have written, or closed, in answer to that.
    lastByteWasSent()
  }
}
