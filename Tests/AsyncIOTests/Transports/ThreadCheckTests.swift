// SPDX-License-Identifier: Apache-2.0
import SystemPackage
import Testing

@testable import AsyncIO

/// What belongs to a loop's thread says so when the compiler was talked out of seeing the misuse. Each test is a process
/// of its own.
@Suite("Calls from a wrong thread are named")
struct ThreadCheckTests {
  /// A call by its name, and what makes it: on the loop first, then on the other thread.
  private typealias Call = (name: String, make: (EventLoop, TestKernel) async throws -> () -> Void)

  private static func stream(_ name: String, _ call: @escaping (StreamTransport) -> Void) -> Call {
    (
      "StreamTransport.\(name)",
      { loop, kernel in
        let (recorder, _) = try await PairKind.socketPair.transport(loop, kernel)
        let transport = recorder.transport
        return { call(transport) }
      }
    )
  }

  private static func datagram(_ name: String, _ call: @escaping (DatagramTransport) -> Void) -> Call {
    (
      "DatagramTransport.\(name)",
      { loop, kernel in
        let transport = try await loop.openEndpoint().transport
        return { call(transport) }
      }
    )
  }

  private static func readPipe(_ name: String, _ call: @escaping (ReadPipeTransport) -> Void) -> Call {
    (
      "ReadPipeTransport.\(name)",
      { loop, kernel in
        let (recorder, peer) = try await PipeKind.pipe.reader(loop, kernel)
        let transport = recorder.transport
        return { withExtendedLifetime(peer) { call(transport) } }
      }
    )
  }

  private static func writePipe(_ name: String, _ call: @escaping (WritePipeTransport) -> Void) -> Call {
    (
      "WritePipeTransport.\(name)",
      { loop, kernel in
        let (recorder, peer) = try await PipeKind.pipe.writer(loop, kernel)
        let transport = recorder.transport
        return { withExtendedLifetime(peer) { call(transport) } }
      }
    )
  }

  private static func child(_ name: String, _ call: @escaping (SubprocessTransport) -> Void) -> Call {
    (
      "SubprocessTransport.\(name)",
      { loop, kernel in
        let transport = try await loop.createSubprocessExec("/bin/true", stdout: .pipe).transport
        return { call(transport) }
      }
    )
  }

  private static func terminal(_ name: String, _ call: @escaping (TerminalTransport) -> Void) -> Call {
    (
      "TerminalTransport.\(name)",
      { loop, kernel in
        let transport = try await loop.createSubprocessExec("/bin/cat", on: .pty()).transport.terminal
        return { transport.map(call) }
      }
    )
  }

  private static func streams(_ name: String, _ call: @escaping (StreamReader, StreamWriter) -> Void) -> Call {
    (
      name,
      { loop, kernel in
        let (near, far) = try Socket.pair()
        let (reader, writer) = try await loop.openConnection(socket: near)
        return { withExtendedLifetime(far) { call(reader, writer) } }
      }
    )
  }

  private static func server(_ name: String, _ call: @escaping (Server) -> Void) -> Call {
    (
      "Server.\(name)",
      { loop, kernel in
        let server = try await loop.createServer(Recorder.init, host: "127.0.0.1", port: 0)
        return { call(server) }
      }
    )
  }

  private static var calls: [Call] {
    [
      stream("getProtocol") { _ = $0.getProtocol() }, stream("setProtocol") { $0.setProtocol(Recorder()) },
      stream("localAddress") { _ = $0.localAddress }, stream("localAddress") { _ = $0.getExtraInfo(.sockname) },
      stream("isReading") { _ = $0.isReading }, stream("pauseReading") { $0.pauseReading() },
      stream("resumeReading") { $0.resumeReading() }, stream("write") { $0.write([1]) },
      stream("write") { $0.write("text") }, stream("writeLines") { $0.writeLines([[1]]) },
      stream("canWriteEOF") { _ = $0.canWriteEOF }, stream("writeEOF") { $0.writeEOF() },
      stream("writeBufferSize") { _ = $0.writeBufferSize }, stream("writeBufferLimits") { _ = $0.writeBufferLimits },
      stream("setWriteBufferLimits") { $0.setWriteBufferLimits() }, stream("isClosing") { _ = $0.isClosing },
      stream("close") { $0.close() }, stream("abort") { $0.abort() },

      datagram("getProtocol") { _ = $0.getProtocol() }, datagram("setProtocol") { $0.setProtocol(DatagramRecorder()) },
      datagram("localAddress") { _ = $0.localAddress }, datagram("sendTo") { $0.sendTo("text") },
      datagram("writeBufferSize") { _ = $0.writeBufferSize },
      datagram("writeBufferLimits") { _ = $0.writeBufferLimits },
      datagram("setWriteBufferLimits") { $0.setWriteBufferLimits() }, datagram("isClosing") { _ = $0.isClosing },
      datagram("close") { $0.close() }, datagram("abort") { $0.abort() },

      readPipe("getProtocol") { _ = $0.getProtocol() }, readPipe("setProtocol") { $0.setProtocol(ReadRecorder()) },
      readPipe("isReading") { _ = $0.isReading }, readPipe("pauseReading") { $0.pauseReading() },
      readPipe("resumeReading") { $0.resumeReading() }, readPipe("isClosing") { _ = $0.isClosing },
      readPipe("close") { $0.close() },

      writePipe("getProtocol") { _ = $0.getProtocol() }, writePipe("setProtocol") { $0.setProtocol(WriteRecorder()) },
      writePipe("write") { $0.write([1]) }, writePipe("writeLines") { $0.writeLines([[1]]) },
      writePipe("writeEOF") { $0.writeEOF() },
      writePipe("writeBufferSize") { _ = $0.writeBufferSize },
      writePipe("writeBufferLimits") { _ = $0.writeBufferLimits },
      writePipe("setWriteBufferLimits") { $0.setWriteBufferLimits() }, writePipe("isClosing") { _ = $0.isClosing },
      writePipe("close") { $0.close() }, writePipe("abort") { $0.abort() },

      child("getProtocol") { _ = $0.getProtocol() }, child("setProtocol") { $0.setProtocol(ProcessRecorder()) },
      child("returnCode") { _ = $0.returnCode }, child("pipeTransport") { _ = $0.pipeTransport(1) },
      child("sendSignal") { try? $0.terminate() }, child("isClosing") { _ = $0.isClosing },
      child("close") { $0.close() },

      terminal("isReading") { _ = $0.isReading }, terminal("pauseReading") { $0.pauseReading() },
      terminal("resumeReading") { $0.resumeReading() }, terminal("write") { $0.write([1]) },
      terminal("writeLines") { $0.writeLines([[1]]) }, terminal("writeEOF") { $0.writeEOF() },
      terminal("writeBufferSize") { _ = $0.writeBufferSize },
      terminal("writeBufferLimits") { _ = $0.writeBufferLimits },
      terminal("setWriteBufferLimits") { $0.setWriteBufferLimits() }, terminal("isClosing") { _ = $0.isClosing },
      terminal("resize") { try? $0.resize(rows: 1, columns: 1) }, terminal("close") { $0.close() },
      terminal("abort") { $0.abort() },

      streams("StreamReader.transport") { reader, _ in _ = reader.transport },
      streams("StreamReader.feedData") { reader, _ in reader.feedData([1]) },
      streams("StreamReader.feedEOF") { reader, _ in reader.feedEOF() },
      streams("StreamReader.error") { reader, _ in _ = reader.error },
      streams("StreamReader.setError") { reader, _ in reader.setError(TestError()) },
      streams("StreamReader.atEOF") { reader, _ in _ = reader.atEOF },
      streams("StreamWriter.write") { _, writer in writer.write([1]) },
      streams("StreamWriter.write") { _, writer in writer.write("text") },
      streams("StreamWriter.writeLines") { _, writer in writer.writeLines([[1]]) },
      streams("StreamWriter.canWriteEOF") { _, writer in _ = writer.canWriteEOF },
      streams("StreamWriter.writeEOF") { _, writer in writer.writeEOF() },
      streams("StreamWriter.isClosing") { _, writer in _ = writer.isClosing },
      streams("StreamWriter.close") { _, writer in writer.close() },

      server("sockets") { _ = $0.sockets }, server("connectionCount") { _ = $0.connectionCount },
      server("isServing") { _ = $0.isServing }, server("startServing") { try? $0.startServing() },
      server("close") { $0.close() }, server("closeClients") { $0.closeClients() },
      server("abortClients") { $0.abortClients() },
    ]
  }

  @Test("every call says its own name", arguments: calls.indices)
  func says(_ index: Int) async {
    let result = await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
      [index = index as Int] in
      try runLoop { loop, kernel in
        let call = LoopBound(try await ThreadCheckTests.calls[index].make(loop, kernel))
        TestThread { call.value() }.join()
      }
    }
    let text = String(decoding: result?.standardErrorContent ?? [], as: UTF8.self)
    let name = ThreadCheckTests.calls[index].name
    #expect(text.contains(" \(name): called from another thread than the loop's own"), "\(name)")
  }
}
