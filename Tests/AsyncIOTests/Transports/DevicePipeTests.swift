// SPDX-License-Identifier: Apache-2.0
import SystemPackage
import Testing

@testable import AsyncIO

/// Devices that the poller refuses, because they never make anybody wait. A daemon's standard streams are such.
@Suite("Pipe transports on devices")
struct DevicePipeTests {
  private func open(_ path: String, _ mode: FileDescriptor.AccessMode, _ kernel: TestKernel) throws -> FileDescriptor {
    let descriptor = try FileDescriptor.open(FilePath(path), mode, options: .closeOnExec)
    kernel.enrol(descriptor)
    return descriptor
  }

  @Test("/dev/null is at its end at once")
  func null() throws {
    try runLoop { loop, kernel in
      let recorder = ReadRecorder()
      _ = try await loop.connectReadPipe({ recorder }, open("/dev/null", .readOnly, kernel))
      #expect(recorder.calls == [.made])
      try await loop.until { recorder.isLost }
      #expect(recorder.calls == [.made, .eof, .lost(nil)])
    }
  }

  @Test("/dev/zero delivers, pauses and closes, and others have their turn")
  func zero() throws {
    try runLoop { loop, kernel in
      let recorder = ReadRecorder()
      recorder.onData = { #expect($0.allSatisfy { $0 == 0 }) }
      kernel.limit(.read, toBytes: 100)
      _ = try await loop.connectReadPipe({ recorder }, open("/dev/zero", .readOnly, kernel))
      try await loop.until { recorder.received.count >= 1000 }
      recorder.transport.pauseReading()
      let before = recorder.received.count
      try await loop.expectIdle(kernel)
      #expect(recorder.received.count == before)
      recorder.transport.resumeReading()
      try await loop.until { recorder.received.count > before }
      recorder.transport.close()
      let last = recorder.received.count
      try await loop.until { recorder.isLost }
      #expect(recorder.received.count == last)
      #expect(recorder.calls == [.made, .data, .lost(nil)])
    }
  }

  @Test("/dev/null takes everything")
  func writesToNull() throws {
    try runLoop { loop, kernel in
      let recorder = WriteRecorder()
      _ = try await loop.connectWritePipe({ recorder }, open("/dev/null", .writeOnly, kernel))
      recorder.transport.write(pattern(plenty))
      #expect(recorder.transport.writeBufferSize == 0)
      // Buffered all the same: tried again, without a poller that tells when.
      kernel.inject(.wouldBlock, into: .write)
      recorder.transport.write("later")
      #expect(recorder.transport.writeBufferSize == 5)
      recorder.transport.close()
      try await loop.until { recorder.isLost }
      #expect(recorder.calls == [.made, .pause, .resume, .lost(nil)] || recorder.calls == [.made, .lost(nil)])
      #expect(kernel.count(of: .writeGathering) == 1)
    }
  }

  @Test("/dev/full takes nothing")
  func writesToFull() throws {
    try runLoop { loop, kernel in
      let recorder = WriteRecorder()
      _ = try await loop.connectWritePipe({ recorder }, open("/dev/full", .writeOnly, kernel))
      recorder.transport.write("x")
      try await loop.until { recorder.isLost }
      #expect(recorder.ioLoss?.code == .noSpace)
    }
  }

  @Test("the mode of a device is put back too")
  func restoresMode() throws {
    try runLoop { loop, kernel in
      let descriptor = try open("/dev/null", .readOnly, kernel)
      let duplicate = try descriptor.duplicate()
      let recorder = ReadRecorder()
      _ = try await loop.connectReadPipe({ recorder }, descriptor)
      #expect(try duplicate.isNonBlocking)
      try await loop.until { recorder.isLost }
      #expect(try !duplicate.isNonBlocking)
      try duplicate.close()
    }
  }
}
