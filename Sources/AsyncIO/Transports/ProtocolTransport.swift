// SPDX-License-Identifier: Apache-2.0

/// A transport that calls a protocol of the program's, whose type depends on what it carries.
public class ProtocolTransport<Receiver>: DescriptorTransport {
  /// Who is called; nil after `connectionLost`.
  private(set) final var receiver: Receiver?

  /// The protocol that is called now; nil after `connectionLost`. asyncio's `get_protocol`.
  public final func getProtocol() -> Receiver? {
    check("getProtocol")
    return receiver
  }

  /// Has another protocol called from now on, without a `connectionMade`. asyncio's `set_protocol`.
  public final func setProtocol(_ newProtocol: Receiver) {
    check("setProtocol")
    if receiver != nil { setReceiver(newProtocol) }
  }

  func setReceiver(_ new: Receiver?) { receiver = new }

  override final var listener: (any BaseProtocol)? { receiver as? any BaseProtocol }

  /// Calls the protocol's `connectionMade`.
  func tellMade(_ receiver: Receiver) throws {}

  /// Ties the protocol to the transport: tells it of the transport, and lets that begin.
  final func start(_ receiver: Receiver) {
    claimDescriptor()
    setReceiver(receiver)
    begin()
  }

  final func begin() {
    defer { settle() }
    wasMade = true
    do {
      if let receiver { try tellMade(receiver) }
    } catch {
      protocolFailed("connectionMade", error)
    }
    state.didStart()
  }

  override func release() {
    // Kept until this object is done changing: a protocol may call back from its deinit.
    let last = receiver
    defer { withExtendedLifetime(last) {} }
    setReceiver(nil)
    super.release()
  }
}
