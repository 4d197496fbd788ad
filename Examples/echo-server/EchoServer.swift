// SPDX-License-Identifier: Apache-2.0
import ArgumentParser
import AsyncIO
import AsyncIOTLS
import Foundation

/// Sends back what arrives, in either of the library's two styles.
@main
struct EchoServer: ParsableCommand {
  enum Style: String, ExpressibleByArgument, CaseIterable {
    case callbacks, streams
  }

  static let configuration = CommandConfiguration(
    commandName: "echo-server", abstract: "A server that sends back what arrives.")

  @Option(help: "The port to listen on; 0 lets the kernel pick one.")
  var port = 8888
  @Option(help: "The address or name to listen on.")
  var host = "127.0.0.1"
  @Option(help: "A socket file to listen on, in place of host and port.")
  var unix: String?
  @Option(help: "How many loops serve the port, each on a thread of its own; the port must be given.")
  var loops = 1
  @Option(help: "How connections are served: by callbacks, or by async code on streams.")
  var style = Style.streams
  @Option(
    parsing: .upToNextOption,
    help: ArgumentHelp("Encrypt the connections, with a certificate and its key in PEM files.", valueName: "file"))
  var tls: [String] = []
  @Flag(help: "Serve UDP datagrams instead of TCP connections.")
  var udp = false

  func validate() throws {
    guard tls.isEmpty || tls.count == 2 else { throw ValidationError("--tls takes two files: certificate and key") }
    if udp, !tls.isEmpty { throw ValidationError("datagrams are not encrypted") }
    guard loops > 1 else { return }
    if unix != nil || port == 0 { throw ValidationError("several loops need a port to share") }
  }

  func run() throws {
    for _ in 1..<max(1, loops) {
      Thread {
        do { try runLoop() } catch { EchoServer.exit(withError: error) }
      }.start()
    }
    // The first loop has the main thread, and with it the signals that end the program. The others end with the process.
    try runLoop()
  }

  private func runLoop() throws {
    try EventLoop.run { loop in
      try await serve(loop) { address in
        print("listening on \(address)")
        fflush(nil)
      }
    }
  }

  /// Serves until the task is cancelled.
  func serve(_ loop: EventLoop, whenListening listensOn: (SocketAddress) -> Void) async throws {
    if udp { return try await serveDatagrams(loop, listensOn) }
    let server = try await makeServer(loop)
    for socket in server.sockets {
      if let address = socket.localAddress { listensOn(address) }
    }
    try await server.serveForever()
  }

  private func serveDatagrams(_ loop: EventLoop, _ listensOn: (SocketAddress) -> Void) async throws {
    let (transport, _) = try await loop.createDatagramEndpoint(
      DatagramEchoProtocol.init, localAddress: (host, port), reusePort: loops > 1)
    defer { transport.close() }
    if let address = transport.localAddress { listensOn(address) }
    try await Future<Void>(loop).value
  }

  private func makeServer(_ loop: EventLoop) async throws -> Server {
    let shared = loops > 1
    let tls = tls.isEmpty ? nil : try ServerTLS.server(certificateFile: tls[0], keyFile: tls[1])
    switch (style, unix) {
    case (.callbacks, let path?):
      return try await loop.createUnixServer(EchoProtocol.init, path: path, backlog: 1024, tls: tls)
    case (.streams, let path?):
      return try await loop.startUnixServer(path: path, backlog: 1024, tls: tls, echo)
    case (.callbacks, nil):
      return try await loop.createServer(
        EchoProtocol.init, host: host, port: port, backlog: 1024, reusePort: shared, tls: tls)
    case (.streams, nil):
      return try await loop.startServer(host: host, port: port, backlog: 1024, reusePort: shared, tls: tls, echo)
    }
  }
}
