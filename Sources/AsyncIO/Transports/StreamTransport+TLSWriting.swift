// SPDX-License-Identifier: Apache-2.0
import SystemPackage

extension StreamTransport {
  func writeEncrypted(_ bytes: Span<UInt8>, _ stage: TLSStage) {
    var done = 0
    while done < bytes.count, buffer.isEmpty, stage.wire.isEmpty, !state.isHandshaking {
      let part = bytes.extracting(done..<min(bytes.count, done + TLSStage.chunk))
      do throws(TLSError) {
        try sendingOutput(stage) { (output) throws(TLSError) in try stage.engine.encrypt(part, output: &output) }
      } catch {
        end(error.with(peerName))
      }
      if state.hasEnded { return }
      done += part.count
      if !stage.wire.isEmpty { buffer.encryptedCount = part.count }
    }
    let signal = done < bytes.count ? buffer.append(bytes.extracting(done...)) : buffer.signal()
    updateInterest()
    perform(signal)
  }

  func writeLinesEncrypted(_ lines: [[UInt8]], _ stage: TLSStage) {
    let mayGo = buffer.isEmpty && stage.wire.isEmpty && !state.isHandshaking
    // All of them first, so that small ones share a record.
    buffer.appendQuietly(contentsOf: lines)
    if mayGo { encryptBuffer(stage, chunks: .max) }
    if state.hasEnded { return }
    updateInterest()
    perform(buffer.signal())
  }

  /// Encrypts and sends what is buffered.
  func encryptBuffer(_ stage: TLSStage, chunks: Int, stopsWhenBlocked: Bool = true) {
    var left = chunks
    while left > 0, !buffer.isEmpty, stage.wire.isEmpty || !stopsWhenBlocked {
      left -= 1
      var count = 0
      do throws(TLSError) {
        try sendingOutput(stage) { (output) throws(TLSError) in
          try buffer.withFront(TLSStage.chunk, gathering: &loop.gatheredPlaintext) { (part) throws(TLSError) in
            count = part.count
            try stage.engine.encrypt(part, output: &output)
          }
        }
      } catch {
        end(error.with(peerName))
      }
      if state.hasEnded { return }
      buffer.consumeEncrypted(count)
      if stage.wire.isEmpty { buffer.encryptedCount = 0 }
    }
  }

  func flushEncrypted(_ stage: TLSStage) {
    if !stage.wire.isEmpty {
      do throws(Errno) {
        let sent = try loop.kernel.send(
          socket.descriptor, gathering: stage.wire.front, skipping: stage.wire.firstOffset)
        stage.sentCount += sent
        _ = stage.wire.consume(sent)
      } catch {
        if error != .wouldBlock { encryptedConnectionBroke(IOError(error, "send", peerName)) }
        return
      }
    }
    buffer.encryptedCount = min(buffer.encryptedCount, stage.wire.count)
    if !state.isHandshaking { encryptBuffer(stage, chunks: TLSStage.chunksPerTurn) }
    guard !state.hasEnded else { return }
    perform(buffer.signal())
    // The protocol may have written, or closed, in answer to that.
    lastByteWasSent()
    updateInterest()
  }
}
