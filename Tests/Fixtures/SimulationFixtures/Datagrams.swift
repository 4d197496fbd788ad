// SPDX-License-Identifier: Apache-2.0
import AsyncIO

/// Sends each datagram back.
final class DatagramEcho: DatagramProtocol {
  private var transport: DatagramTransport?

  func connectionMade(_ transport: DatagramTransport) { self.transport = transport }
  func datagramReceived(_ data: Span<UInt8>, from sender: SocketAddress) {
    if let transport, !transport.isClosing { transport.sendTo(data, sender) }
  }
  func connectionLost(_ error: (any Error)?) { transport = nil }
}

/// Looks at what comes back: datagrams that were sent, whole, and calls in their order.
package final class DatagramAsker: DatagramProtocol {
  private let violations: Violations
  private var wasMade = false
  private var isLost = false

  package init(_ violations: Violations) { self.violations = violations }

  package func connectionMade(_ transport: DatagramTransport) {
    if wasMade { violations.add("a datagram protocol's connectionMade came twice") }
    wasMade = true
  }

  package func datagramReceived(_ data: Span<UInt8>, from sender: SocketAddress) {
    if isLost || !wasMade { violations.add("datagramReceived came out of order") }
    let text = String(decoding: (0..<data.count).map { data[$0] }, as: UTF8.self)
    if Int(text).map({ !(0..<100).contains($0) }) ?? true { violations.add("a datagram arrived that nobody sent") }
    if sender.port != 7 { violations.add("a datagram came from \(sender)") }
  }

  package func connectionLost(_ error: (any Error)?) {
    if isLost { violations.add("a datagram protocol's connectionLost came twice") }
    isLost = true
  }

  deinit { if wasMade, !isLost { violations.add("a datagram protocol's connectionLost never came") } }
}
