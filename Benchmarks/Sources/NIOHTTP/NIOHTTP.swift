// SPDX-License-Identifier: Apache-2.0
import ArgumentParser
import Glibc
import NIOCore
import NIOHTTP1
import NIOPosix

/// SwiftNIO's HTTP/1.1 server on one event loop thread, with its usual pipeline: it answers every request with a line of text.
@main
struct NIOHTTP: AsyncParsableCommand {
  static let configuration = CommandConfiguration(commandName: "nio-http")

  @Option(help: "The port to listen on; 0 lets the kernel pick one.")
  var port = 0

  func run() async throws {
    let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
    let channel = try await ServerBootstrap(group: group)
      .serverChannelOption(.backlog, value: 1024)
      .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
      .childChannelOption(.tcpOption(.tcp_nodelay), value: 1)
      .childChannelInitializer { channel in
        channel.eventLoop.makeCompletedFuture {
          try channel.pipeline.syncOperations.configureHTTPServerPipeline()
          try channel.pipeline.syncOperations.addHandler(HelloHandler())
        }
      }
      .bind(host: "127.0.0.1", port: port).get()
    print("listening on 127.0.0.1:\(channel.localAddress?.port ?? 0)")
    fflush(nil)
    try await channel.closeFuture.get()
  }
}

private final class HelloHandler: ChannelInboundHandler {
  typealias InboundIn = HTTPServerRequestPart
  typealias OutboundOut = HTTPServerResponsePart

  private let body = ByteBuffer(string: "hello, world\n")
  private var date = ""
  private var dateIsGoodUntil = NIODeadline.uptimeNanoseconds(0)

  func channelRead(context: ChannelHandlerContext, data: NIOAny) {
    guard case .end = unwrapInboundIn(data) else { return }
    let head = HTTPResponseHead(
      version: .http1_1, status: .ok,
      headers: [
        "Date": currentDate(), "Content-Type": "text/plain; charset=utf-8", "Content-Length": "\(body.readableBytes)",
      ])
    context.write(wrapOutboundOut(.head(head)), promise: nil)
    context.write(wrapOutboundOut(.body(.byteBuffer(body))), promise: nil)
    context.writeAndFlush(wrapOutboundOut(.end(nil)), promise: nil)
  }

  /// Made anew ten times a second, as the other servers do.
  private func currentDate() -> String {
    guard NIODeadline.now() >= dateIsGoodUntil else { return date }
    var seconds = time(nil)
    var parts = tm()
    gmtime_r(&seconds, &parts)
    var buffer = [CChar](repeating: 0, count: 64)
    strftime(&buffer, buffer.count, "%a, %d %b %Y %H:%M:%S GMT", &parts)
    date = buffer.withUnsafeBufferPointer { String(cString: $0.baseAddress!) }
    dateIsGoodUntil = .now() + .milliseconds(100)
    return date
  }
}
