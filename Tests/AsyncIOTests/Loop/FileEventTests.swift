// SPDX-License-Identifier: Apache-2.0
import Foundation
import Glibc
import SystemPackage
import Testing

@testable import AsyncIO

/// inotify's descriptors under `addReader`: a program that watches a folder.
@Suite struct FileEventTests {
  /// The names in the events that are there, in their order.
  private func names(_ descriptor: FileDescriptor) throws -> [String] {
    var buffer = [UInt8](repeating: 0, count: 4096)
    let count = try buffer.withUnsafeMutableBytes { try descriptor.read(into: $0) }
    var names: [String] = []
    var start = 0
    // An event is four numbers of 32 bits, of which the last is the length of the name behind them.
    while start + 16 <= count {
      let length = (0..<4).reduce(0) { $0 | Int(buffer[start + 12 + $1]) << ($1 * 8) }
      names.append(String(decoding: buffer[start + 16..<start + 16 + length].prefix { $0 != 0 }, as: UTF8.self))
      start += 16 + length
    }
    return names
  }

  @Test("a reader of an inotify descriptor fires for what happens in a folder, and not after its removal")
  func folder() throws {
    let folder = try TemporaryFolder()
    try runLoop { loop, kernel in
      let descriptor = FileDescriptor(rawValue: inotify_init1(Int32(IN_NONBLOCK | IN_CLOEXEC)))
      defer { try? descriptor.close() }
      #expect(inotify_add_watch(descriptor.rawValue, folder.path, UInt32(IN_CREATE | IN_DELETE)) >= 0)
      var seen: [String] = []
      var calls = 0
      try loop.addReader(descriptor) {
        calls += 1
        seen += try names(descriptor)
      }
      // Nothing happens, nothing fires.
      for _ in 0..<5 { try await loop.sleep(for: .zero) }
      #expect(calls == 0)
      for name in ["first", "second"] {
        try folder.file([], name: name).close()
      }
      try await loop.until { seen.count == 2 }
      try FileManager.default.removeItem(atPath: folder.path(of: "first"))
      try await loop.until { seen.count == 3 }
      #expect(seen == ["first", "second", "first"])
      let callsSoFar = calls
      #expect(try loop.removeReader(descriptor))
      try folder.file([], name: "third").close()
      for _ in 0..<5 { try await loop.sleep(for: .zero) }
      #expect(calls == callsSoFar)
      // It is there, for whoever looks.
      #expect(try names(descriptor) == ["third"])
    }
  }

  @Test("a loop that sleeps wakes up for a change that another thread makes")
  func wakes() throws {
    let folder = try TemporaryFolder()
    try withLoop { loop, kernel in
      let descriptor = FileDescriptor(rawValue: inotify_init1(Int32(IN_NONBLOCK | IN_CLOEXEC)))
      defer { try? descriptor.close() }
      #expect(inotify_add_watch(descriptor.rawValue, folder.path, UInt32(IN_CREATE)) >= 0)
      var seen: [String] = []
      try loop.addReader(descriptor) {
        seen += try names(descriptor)
        loop.stop()
      }
      let path = folder.path(of: "made")
      let thread = TestThread {
        while kernel.count(of: .wait) == 0 { sched_yield() }
        // Foundation's way makes a file of another name first.
        _ = mkfifo(path, 0o600)
      }
      try loop.runForever()
      thread.join()
      #expect(seen == ["made"])
    }
  }
}
