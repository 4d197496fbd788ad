// SPDX-License-Identifier: Apache-2.0
import ArgumentParser
import Glibc
import NIOCore
import NIOPosix
import NIOSSL

/// SwiftNIO's echo server on one event loop thread: a pipeline of handlers, or its async channel.
@main
struct NIOEcho: AsyncParsableCommand {
  enum Style: String, ExpressibleByArgument, CaseIterable {
    case handlers, async
  }

  static let configuration = CommandConfiguration(commandName: "nio-echo")

  @Option(help: "The port to listen on; 0 lets the kernel pick one.")
  var port = 0
  @Option(help: "How connections are served.")
  var style = Style.handlers
  @Option(parsing: .upToNextOption, help: "Certificate and key, to encrypt connections with; for handlers.")
  var tls: [String] = []

  func run() async throws {
    let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
    let bootstrap = ServerBootstrap(group: group)
      .serverChannelOption(.backlog, value: 1024)
      .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
      .childChannelOption(.tcpOption(.tcp_nodelay), value: 1)
    let tls = try makeTLS()
    switch style {
    case .handlers:
      let channel =
        try await bootstrap
        .childChannelInitializer { channel in
          channel.eventLoop.makeCompletedFuture {
            if let tls { try channel.pipeline.syncOperations.addHandler(NIOSSLServerHandler(context: tls)) }
            try channel.pipeline.syncOperations.addHandler(EchoHandler())
          }
        }
        .bind(host: "127.0.0.1", port: port).get()
      announce(channel)
      try await channel.closeFuture.get()
    case .async:
      let server = try await bootstrap.bind(host: "127.0.0.1", port: port) { channel in
        channel.eventLoop.makeCompletedFuture {
          try NIOAsyncChannel<ByteBuffer, ByteBuffer>(wrappingChannelSynchronously: channel)
        }
      }
      announce(server.channel)
      try await withThrowingDiscardingTaskGroup { tasks in
        try await server.executeThenClose { connections in
          for try await connection in connections {
            tasks.addTask {
              // One connection's error is not the server's.
              try? await connection.executeThenClose { inbound, outbound in
                for try await bytes in inbound { try await outbound.write(bytes) }
              }
            }
          }
        }
      }
    }
  }

  private func makeTLS() throws -> NIOSSLContext? {
    guard tls.count == 2 else { return nil }
    let chain = try NIOSSLCertificate.fromPEMFile(tls[0]).map { NIOSSLCertificateSource.certificate($0) }
    let key = NIOSSLPrivateKeySource.privateKey(try NIOSSLPrivateKey(file: tls[1], format: .pem))
    return try NIOSSLContext(configuration: .makeServerConfiguration(certificateChain: chain, privateKey: key))
  }

  private func announce(_ channel: any Channel) {
    print("listening on 127.0.0.1:\(channel.localAddress?.port ?? 0)")
    fflush(nil)
  }
}

final class EchoHandler: ChannelInboundHandler {
  typealias InboundIn = ByteBuffer
  typealias OutboundOut = ByteBuffer

  func channelRead(context: ChannelHandlerContext, data: NIOAny) { context.write(data, promise: nil) }
  func channelReadComplete(context: ChannelHandlerContext) { context.flush() }
  func errorCaught(context: ChannelHandlerContext, error: any Error) { context.close(promise: nil) }
}
