// SPDX-License-Identifier: Apache-2.0
import ArgumentParser
import AsyncIO
import AsyncIOTLS
import Glibc

/// Sends back what arrives: connections in either of the library's two styles, or datagrams.
@main
struct AsyncIOEcho: ParsableCommand {
  enum Style: String, ExpressibleByArgument, CaseIterable {
    case callbacks, streams, datagrams
  }

  static let configuration = CommandConfiguration(commandName: "asyncio-echo")

  @Option(help: "The port to listen on; 0 lets the kernel pick one.")
  var port = 0
  @Option(help: "How connections are served.")
  var style = Style.callbacks
  @Option(parsing: .upToNextOption, help: "Certificate and key, to encrypt connections with.")
  var tls: [String] = []

  func run() throws {
    try EventLoop.run { loop in
      let server: Server
      let tls = tls.count == 2 ? try ServerTLS.server(certificateFile: tls[0], keyFile: tls[1]) : nil
      switch style {
      case .callbacks:
        server = try await loop.createServer(EchoProtocol.init, host: "127.0.0.1", port: port, backlog: 1024, tls: tls)
      case .streams:
        server = try await loop.startServer(host: "127.0.0.1", port: port, backlog: 1024, tls: tls, echo)
      case .datagrams:
        try await serveDatagrams(loop)
        return
      }
      for socket in server.sockets {
        if let address = socket.localAddress { print("listening on \(address)") }
      }
      fflush(nil)
      try await server.serveForever()
    }
  }

  private func serveDatagrams(_ loop: EventLoop) async throws {
    let (transport, _) = try await loop.createDatagramEndpoint(
      DatagramEchoProtocol.init, localAddress: ("127.0.0.1", port))
    if let address = transport.localAddress { print("listening on \(address)") }
    fflush(nil)
    try await Future<Void>(loop).value
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

final class DatagramEchoProtocol: DatagramProtocol {
  private var transport: DatagramTransport?

  func connectionMade(_ transport: DatagramTransport) { self.transport = transport }
  func datagramReceived(_ data: Span<UInt8>, from sender: SocketAddress) { transport?.sendTo(data, sender) }
}

func echo(_ reader: StreamReader, _ writer: StreamWriter) async throws {
  for try await chunk in reader { try await writer.send(chunk) }
}
