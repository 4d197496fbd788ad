// SPDX-License-Identifier: Apache-2.0
import AsyncIOTLS
import COpenSSL
import Testing

@testable import AsyncIO

/// Engines by themselves, on a thread that others use OpenSSL on as well.
@Suite struct OpenSSLEngineTests {
  /// What other code that uses OpenSSL may leave behind: an error of its own in the thread's queue.
  private func leaveError() {
    #expect(BIO_new_file("/nowhere/at/all", "r") == nil)
    #expect(ERR_peek_error() != 0)
  }

  @Test("An error of somebody else's on the thread is not taken for the connection's")
  func errorsOfOthers() throws {
    let client = try HandDrivenTLS(clientTLS(), .client(serverName: "localhost"))
    let server = try HandDrivenTLS(serverTLS(), .server)
    while !(client.isDone && server.isDone) {
      leaveError()
      try client.feed(server.takeOutgoing())
      leaveError()
      try server.feed(client.takeOutgoing())
    }
    leaveError()
    try client.send(octets("all well"))
    leaveError()
    try server.feed(client.takeOutgoing())
    #expect(server.received == octets("all well"))
    // Part of a record, and what it waits for.
    try client.send(octets(", still"))
    let record = client.takeOutgoing()
    leaveError()
    try server.feed(Array(record.prefix(3)))
    leaveError()
    try server.feed(Array(record.dropFirst(3)))
    #expect(server.received == octets("all well, still"))
    leaveError()
    client.close()
    try server.feed(client.takeOutgoing())
    #expect(server.hasEnded)
  }
}
