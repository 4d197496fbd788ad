// SPDX-License-Identifier: Apache-2.0
@testable import AsyncIO

/// Engines that encrypt nothing, and answer in steps of the test's choice: what a transport makes of each answer shows.
///
/// The byte 4 stands for close_notify.
final class PlainTLS: TLSProvider {
  /// How many bytes the engine asks the wire for at a time.
  fileprivate let piece: Int
  /// How many such pieces it answers in one call.
  fileprivate let piecesPerCall: Int
  /// Whether it first takes all there is, as far as to the end.
  fileprivate let readsAhead: Bool
  /// Whether it answers what it reads by the byte 6.
  fileprivate let acknowledges: Bool

  init(piece: Int, piecesPerCall: Int = .max, readsAhead: Bool = false, acknowledges: Bool = false) {
    self.piece = piece
    self.piecesPerCall = piecesPerCall
    self.readsAhead = readsAhead
    self.acknowledges = acknowledges
  }

  func makeEngine(for role: TLSRole) throws(TLSError) -> any TLSEngine { PlainEngine(self) }
}

private final class PlainEngine: TLSEngine {
  private static let goodbye: UInt8 = 4

  private let style: PlainTLS
  private var ahead: [UInt8] = []
  private var hasEnded = false

  init(_ style: PlainTLS) { self.style = style }

  var info: TLSInfo { TLSInfo(version: "none", cipher: "none", cipherBits: 0) }

  func handshake(over wire: any TLSWire) throws(TLSError) -> Bool { true }

  func decrypt(from wire: any TLSWire, into plaintext: inout MutableSpan<UInt8>) throws(TLSError) -> TLSDecryption {
    var part: [UInt8] = []
    if style.readsAhead {
      repeat {
        part = take(style.piece, from: wire)
        ahead += part
      } while part.count == style.piece
    }
    var count = 0
    var pieces = 0
    while !hasEnded, count < plaintext.count, pieces < style.piecesPerCall {
      let room = min(style.piece, plaintext.count - count)
      if style.readsAhead {
        part = Array(ahead.prefix(room))
        ahead.removeFirst(part.count)
      } else {
        part = take(room, from: wire)
      }
      for byte in part where !hasEnded {
        hasEnded = byte == PlainEngine.goodbye
        if !hasEnded {
          plaintext[count] = byte
          count += 1
        }
      }
      if part.count < room, !hasEnded { return TLSDecryption(count: count, next: .receive) }
      pieces += 1
    }
    return TLSDecryption(count: count, next: hasEnded && count == 0 ? .end : .repeatCall)
  }

  private func take(_ size: Int, from wire: any TLSWire) -> [UInt8] {
    var bytes = [UInt8](repeating: 0, count: size)
    var span = bytes.mutableSpan
    let count = wire.read(into: &span)
    if style.acknowledges, count > 0 {
      let answer: [UInt8] = [6]
      wire.write(answer.span)
    }
    return Array(bytes[..<count])
  }

  func encrypt(_ plaintext: Span<UInt8>, to wire: any TLSWire) throws(TLSError) { wire.write(plaintext) }

  func close(over wire: any TLSWire) {
    let bytes = [PlainEngine.goodbye]
    wire.write(bytes.span)
  }
}
