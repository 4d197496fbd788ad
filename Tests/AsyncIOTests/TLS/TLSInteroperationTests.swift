// SPDX-License-Identifier: Apache-2.0
import AsyncIOTLS
import SystemPackage
import Testing

@testable import AsyncIO

/// Both roles against other programs: `openssl`, `curl`, and Python's ssl module.
@Suite struct TLSInteroperationTests {
  private func echo(_ reader: StreamReader, _ writer: StreamWriter) async throws {
    for try await chunk in reader { try await writer.send(chunk) }
  }

  @Test("openssl s_client talks to our server", arguments: ["-tls1_2", "-tls1_3"])
  func opensslClient(version: String) throws {
    try runLoop { loop, _ in
      let server = try await loop.startServer(
        host: "127.0.0.1", port: 0, tls: .server(serverTLS { $0.alpnProtocols = ["echo"] }), echo)
      let command = try CommandPeer(
        loop, "openssl", "s_client", version, "-connect", "127.0.0.1:\(server.port)", "-servername", "localhost",
        "-CAfile", try TestCertificates.path("ca.pem"), "-verify_hostname", "localhost", "-verify_return_error",
        "-alpn", "echo")
      try command.write("hello from s_client\n")
      _ = try await command.line(containing: "hello from s_client")
      // The end of its input makes it say goodbye.
      let answer = try await command.finish()
      #expect(answer.status == 0)
      #expect(answer.text.contains("Verification: OK") && answer.text.contains("ALPN protocol: echo"))
      server.close()
      try await server.waitClosed()
    }
  }

  @Test("A request for renegotiation is an error, and closes the connection")
  func renegotiation() throws {
    try runLoop { loop, _ in
      let errors = loop.collectErrors()
      let (server, accepted) = try await tlsServer(loop) { $0.onData = { _ in } }
      let command = try CommandPeer(
        loop, "openssl", "s_client", "-tls1_2", "-connect", "127.0.0.1:\(server.port)")
      try command.write("before\n")
      try await loop.until { accepted.recorders.first?.text == "before\n" }
      // Of s_client, a line with this one letter asks for it.
      try command.write("R\n")
      try await loop.until { accepted.recorders[0].isLost }
      #expect(accepted.recorders[0].tlsLoss?.code == .broken)
      #expect(accepted.recorders[0].tlsLoss?.reason.contains("renegotiation") == true)
      #expect(errors.messages == [])
      _ = try await command.finishReading()
      server.close()
    }
  }

  @Test("A session that was made under one name does not spare a client the certificate that another name demands")
  func sessionOfAnotherName() throws {
    try runLoop { loop, _ in
      let errors = loop.collectErrors()
      let root = TLSSource.file(try TestCertificates.path("ca.pem"))
      let demanding = try serverTLS("second") {
        $0.trust = .roots([root])
        $0.clientCertificate = .required
      }
      let welcoming = try serverTLS { $0.contextForServerName = { $0 == "demanding.test" ? demanding : nil } }
      let (server, accepted) = try await tlsServer(loop, welcoming) { recorder in
        recorder.onMade = { $0.write("welcome\n") }
      }
      let folder = try TemporaryFolder()
      for (name, option) in [("localhost", "-sess_out"), ("localhost", "-sess_in"), ("demanding.test", "-sess_in")] {
        let command = try CommandPeer(
          loop, "openssl", "s_client", "-tls1_3", "-connect", "127.0.0.1:\(server.port)", "-servername", name, option,
          folder.path(of: "session"))
        if name == "localhost" { _ = try await command.line(containing: "welcome") }
        let text = try await command.finish().text
        if name == "localhost" { #expect(text.contains("Reused, TLSv1.3") == (option == "-sess_in")) }
        try await loop.until { server.connectionCount == 0 }
      }
      #expect(accepted.recorders.map(\.calls.first) == [.made, .made, nil])
      #expect(errors.messages == ["the TLS handshake of a connection failed"])
      server.close()
      try await server.waitClosed()
    }
  }

  @Test("Our client talks to openssl s_server", arguments: ["-tls1_2", "-tls1_3"])
  func opensslServer(version: String) throws {
    try runLoop { loop, _ in
      let command = try CommandPeer(
        loop, "openssl", "s_server", version, "-accept", "127.0.0.1:0", "-naccept", "1", "-rev", "-cert",
        try TestCertificates.path("server.pem"), "-key", try TestCertificates.path("server.key"))
      let announcement = try await command.line(containing: "ACCEPT")
      let port = try #require(announcement.split(separator: ":").last.flatMap { Int($0) })
      let (reader, writer) = try await loop.openConnection(
        host: "127.0.0.1", port: port, tls: .client(clientTLS(), serverHostname: "localhost"))
      try await writer.send("desserts\n")
      #expect(try await reader.readLine() == octets("stressed\n"))
      #expect(writer.getExtraInfo(.tls)?.version == (version == "-tls1_2" ? "TLSv1.2" : "TLSv1.3"))
      writer.close()
      try await writer.waitClosed()
      _ = try await command.finishReading()
    }
  }

  @Test("curl fetches a page from our server, and does not trust a stranger's")
  func curl() throws {
    try runLoop { loop, _ in
      _ = loop.collectErrors()
      for (certificate, status) in [("server", Int32(0)), ("foreign", 60)] {
        let page = String(repeating: "all well\n", count: 20_000)
        let server = try await loop.startServer(
          host: "127.0.0.1", port: 0, tls: .server(serverTLS(certificate) { $0.alpnProtocols = ["http/1.1"] })
        ) { reader, writer in
          while try await reader.readLine() != octets("\r\n") {}
          writer.write("HTTP/1.1 200 OK\r\nContent-Length: \(page.utf8.count)\r\nConnection: close\r\n\r\n")
          try await writer.send(page)
        }
        let command = try CommandPeer(
          loop, "curl", "-sS", "--cacert", try TestCertificates.path("ca.pem"), "--resolve",
          "localhost:\(server.port):127.0.0.1", "https://localhost:\(server.port)/")
        let answer = try await command.finish()
        #expect(answer.status == status, "\(answer.text.prefix(300))")
        if status == 0 { #expect(answer.text == page) }
        server.close()
        try await server.waitClosed()
      }
    }
  }

  @Test("Python's ssl module, as client: a megabyte there and back, and its close_notify")
  func pythonClient() throws {
    try runLoop { loop, _ in
      let (server, accepted) = try await tlsServer(loop) { recorder in
        recorder.onData = { recorder.transport.write($0) }
      }
      let script = """
        import select, socket, ssl, sys
        context = ssl.create_default_context(cafile=sys.argv[1])
        data = bytes(range(251)) * 4178
        with socket.create_connection(("127.0.0.1", int(sys.argv[2]))) as plain:
            with context.wrap_socket(plain, server_hostname="localhost") as s:
                # Both ways at once by one thread: two of them on one connection lose records in this module.
                s.setblocking(False)
                sent, back = 0, b""
                while len(back) < len(data):
                    try:
                        sent += s.send(data[sent:sent + 65536]) if sent < len(data) else 0
                    except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
                        pass
                    try:
                        piece = s.recv(65536)
                        assert piece, "cut short"
                        back += piece
                    except ssl.SSLWantReadError:
                        select.select([s], [s] if sent < len(data) else [], [])
                s.setblocking(True)
                assert back == data
                print(s.version(), s.getpeercert()["subject"])
                s.unwrap()
                print("unwrapped")
        """
      let command = try CommandPeer(
        loop, "python3", "-c", script, try TestCertificates.path("ca.pem"), "\(server.port)")
      let answer = try await command.finish()
      #expect(answer.status == 0 && answer.text.hasSuffix("unwrapped\n"), "\(answer.text)")
      try await loop.until { accepted.recorders.first?.isLost == true }
      #expect(accepted.recorders[0].calls.suffix(2) == [.eof, .lost(nil)])
      server.close()
    }
  }

  @Test("Python's asyncio, as server: both styles of ours, and startTLS")
  func pythonServer() throws {
    try runLoop { loop, _ in
      let script = """
        import asyncio, ssl, sys
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(sys.argv[1], sys.argv[2])
        async def echo(reader, writer):
            line = await reader.readline()
            if line == b"STARTTLS\\n":
                writer.write(b"go\\n")
                await writer.start_tls(context)
                line = await reader.readline()
            while line:
                writer.write(line)
                await writer.drain()
                line = await reader.readline()
            writer.close()
        async def main():
            plain = await asyncio.start_server(echo, "127.0.0.1", 0)
            tls = await asyncio.start_server(echo, "127.0.0.1", 0, ssl=context)
            print("ports", plain.sockets[0].getsockname()[1], tls.sockets[0].getsockname()[1], flush=True)
            await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
        asyncio.run(main())
        """
      let command = try CommandPeer(
        loop, "python3", "-c", script, try TestCertificates.path("server.pem"), try TestCertificates.path("server.key"))
      let ports = try await command.line(containing: "ports").split(separator: " ").compactMap { Int($0) }
      let tls = try clientTLS()
      for startsPlain in [false, true] {
        let (reader, writer) = try await loop.openConnection(
          host: "127.0.0.1", port: ports[startsPlain ? 0 : 1], tls: startsPlain ? nil : .client(tls))
        if startsPlain {
          try await writer.send("STARTTLS\n")
          #expect(try await reader.readLine() == octets("go\n"))
          try await writer.startTLS(.client(tls, serverHostname: "localhost"))
        }
        let line = String(repeating: "x", count: 50_000) + "\n"
        for _ in 0..<5 {
          try await writer.send(line)
          #expect(try await reader.readLine() == octets(line))
        }
        writer.close()
        try await writer.waitClosed()
      }
      #expect(try await command.finish().status == 0)
    }
  }
}
