// SPDX-License-Identifier: Apache-2.0
// Forwards each connection to another host, both ways.
// Try: port-forwarder 8080 127.0.0.1 8888
import AsyncIO
import Glibc

let arguments = Array(CommandLine.arguments.dropFirst())
guard arguments.count == 3, let port = Int(arguments[0]), let remotePort = Int(arguments[2]) else {
  print("usage: port-forwarder PORT HOST HOST'S-PORT")
  exit(2)
}
let host = arguments[1]

EventLoop.main { loop in
  let server = try await startForwarder(loop, port: port, to: host, remotePort)
  print("forwarding 127.0.0.1:\(server.port) to \(host):\(remotePort)")
  fflush(nil)
  try await loop.withServer(server) { server in try await server.waitClosed() }
}
