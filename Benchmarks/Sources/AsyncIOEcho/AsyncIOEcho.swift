// SPDX-License-Identifier: Apache-2.0
import ArgumentParser
import AsyncIO
import Glibc

/// Sends back what arrives, in either of the library's two styles.
@main
struct AsyncIOEcho: ParsableCommand {
  enum Style: String, ExpressibleByArgument, CaseIterable {
    case callbacks, streams
  }

  static let configuration = CommandConfiguration(commandName: "asyncio-echo")

  @Option(help: "The port to listen on; 0 lets the kernel pick one.")
  var port = 0
  @Option(help: "How connections are served.")
  var style = Style.callbacks

  func run() throws {
    try EventLoop.run { loop in
      let server =
        switch style {
        case .callbacks: try await loop.createServer(EchoProtocol.init, host: "127.0.0.1", port: port, backlog: 1024)
        case .streams: try await loop.startServer(host: "127.0.0.1", port: port, backlog: 1024, echo)
        }
      for socket in server.sockets {
        if let address = socket.localAddress { print("listening on \(address)") }
      }
      fflush(nil)
      try await server.serveForever()
    }
  }
}

final class EchoProtocol: StreamProtocol {
  private var transport: StreamTransport?

  func connectionMade(_ transport: StreamTransport) { self.transport = transport }
  func dataReceived(_ data: Span<UInt8>) { transport?.write(data) }
  func connectionLost(_ error: (any Error)?) { transport = nil }
  func pauseWriting() { transport?.pauseReading() }
  func resumeWriting() { transport?.resumeReading() }
}

func echo(_ reader: StreamReader, _ writer: StreamWriter) async throws {
  for try await chunk in reader { try await writer.send(chunk) }
}
