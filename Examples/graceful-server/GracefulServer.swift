// SPDX-License-Identifier: Apache-2.0
// A web server that ends in good order. On Ctrl-C or SIGTERM it takes no more connections and ends those that wait for a
// request, answers within some seconds the requests that are under way, and cuts off what is left then. A second signal ends
// it at once.
// Try: graceful-server 8080 5, then in another terminal: curl localhost:8080/3, which is answered after three seconds.
import AsyncIO
import Glibc

@main
struct GracefulServer {
  static func main() {
    let arguments = CommandLine.arguments.dropFirst().map { Int($0) }
    let port = arguments.first ?? 8080
    let seconds = arguments.dropFirst().first ?? 5
    guard let port, let seconds, arguments.count <= 2 else {
      print("usage: graceful-server [PORT] [SECONDS]")
      exit(2)
    }
    EventLoop.main { loop in
      try await serve(loop, host: "127.0.0.1", port: port, gracePeriod: .seconds(seconds)) { text in
        print(text)
        // At once, also into a pipe.
        fflush(nil)
      }
    }
  }
}
