// SPDX-License-Identifier: Apache-2.0
import AsyncIO
import SystemPackage

/// One end of a pipe.
final class PipeFile: OpenFile {
  /// What both ends share.
  private final class Content {
    var bytes = ByteQueue()
    weak var reader: PipeFile?
    weak var writer: PipeFile?
  }

  private static let capacity = 65_536

  private let content: Content
  let isReader: Bool

  private init(_ kernel: SimulatedKernel, _ content: Content, isReader: Bool) {
    self.content = content
    self.isReader = isReader
    super.init(kernel)
    // As the real ones: one end is a child's, as a rule.
    isNonBlocking = false
  }

  static func pair(_ kernel: SimulatedKernel) -> (reading: PipeFile, writing: PipeFile) {
    let content = Content()
    let ends = (PipeFile(kernel, content, isReader: true), PipeFile(kernel, content, isReader: false))
    content.reader = ends.0
    content.writer = ends.1
    return ends
  }

  override var kind: FileKind { .pipe }
  override var label: String { isReader ? "the reading end of a pipe" : "the writing end of a pipe" }

  override var readiness: Interest {
    if isReader {
      let isOver = content.writer == nil
      return isOver ? [.read, .write, .hangUp] : content.bytes.isEmpty ? [] : .read
    }
    if content.reader == nil { return [.read, .write, .hangUp] }
    // A page has to be free, as with Linux.
    return PipeFile.capacity - content.bytes.count >= 4096 ? .write : []
  }

  func read(into buffer: inout MutableSpan<UInt8>) throws(Errno) -> Int {
    guard isReader else { throw .badFileDescriptor }
    guard !content.bytes.isEmpty else {
      if content.writer == nil { return 0 }
      throw .wouldBlock
    }
    let count = content.bytes.read(
      into: &buffer, limit: kernel.world.choices.share(of: min(buffer.count, content.bytes.count)))
    content.writer?.changed()
    return count
  }

  func write(_ bytes: Span<UInt8>) throws(Errno) -> Int {
    guard !isReader else { throw .badFileDescriptor }
    guard content.reader != nil else { throw .brokenPipe }
    let room = min(PipeFile.capacity - content.bytes.count, bytes.count)
    if bytes.count > 0, room == 0 { throw .wouldBlock }
    let count = kernel.world.choices.share(of: room)
    content.bytes.append([UInt8](copying: bytes.extracting(..<count)))
    content.reader?.changed()
    return count
  }

  override func wasClosed() {
    if isReader { content.reader = nil } else { content.writer = nil }
    content.reader?.changed()
    content.writer?.changed()
  }
}
