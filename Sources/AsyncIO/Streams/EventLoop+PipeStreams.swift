// SPDX-License-Identifier: Apache-2.0
public import SystemPackage

extension EventLoop {
  /// Reads from a pipe, FIFO, socket, terminal or other character device by async calls. In asyncio, `connect_read_pipe`
  /// with a `StreamReaderProtocol`.
  ///
  /// The descriptor is closed at its end, or when the reader is dropped before.
  ///
  /// - Parameters:
  ///   - descriptor: the reading end, which is the reader's from now on as with ``connectReadPipe(_:_:)``.
  ///   - limit: the reader's, in bytes.
  /// - Returns: the reader.
  /// - Throws: as ``connectReadPipe(_:_:)``; ``EventLoopError`` `.invalidArgument` for a limit of zero or less.
  public func openReadPipe(
    _ descriptor: FileDescriptor, limit: Int = StreamReader.defaultLimit
  ) async throws -> StreamReader {
    let reader = try StreamReader(self, limit: limit)
    _ = try await connectReadPipe({ ReadPipeFeeder(reader) }, descriptor)
    return reader
  }

  /// Writes to a pipe, FIFO, socket, terminal or other character device by async calls. In asyncio,
  /// `connect_write_pipe` with a `FlowControlMixin`.
  ///
  /// - Parameters:
  ///   - descriptor: the writing end, which is the writer's from now on as with ``connectWritePipe(_:_:)``.
  ///   - file: where the call is.
  ///   - line: where the call is.
  /// - Returns: the writer. Its ``StreamWriter/drain()`` throws once nobody reads any more.
  /// - Throws: as ``connectWritePipe(_:_:)``.
  public func openWritePipe(
    _ descriptor: FileDescriptor, file: StaticString = #fileID, line: UInt = #line
  ) async throws -> StreamWriter {
    let flow = StreamFlow(self)
    let (transport, _) = try await connectWritePipe({ WritePipeFlow(flow) }, descriptor)
    return StreamWriter(transport, flow, madeAt: CallSite(file, line))
  }
}
