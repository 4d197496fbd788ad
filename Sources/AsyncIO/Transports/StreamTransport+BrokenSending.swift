// SPDX-License-Identifier: Apache-2.0
import SystemPackage

// A peer that goes away, or a network that does, is as a rule noticed by a send: a reset takes what was to be sent, and
// leaves what had arrived where it is, in the kernel and in the engine of TLS. That was sent in good faith, and the
// program is given it before it is told of the end, in turns that others share. There is nothing to wait for: the first
// receive that finds nothing is the end.

/// Nothing can be sent on a connection any more.
struct BrokenSending {
  /// What `connectionLost` is told.
  let error: any Error
  /// Runs out when a program leaves reading paused; nil while it reads.
  var timer: TimerHandle?
}

extension StreamTransport {
  /// How long what has arrived waits for a program that has paused reading. Without a limit, one that only writes, and
  /// has paused for good, would never hear of the end.
  static let pauseLimit = Duration.seconds(20)

  /// Drops what is unsent, and goes on with what has arrived.
  func deliverRest(_ error: any Error) {
    brokenSending = BrokenSending(error: error)
    discardUnsent()
    wakeWriter(.failure(error))
    scheduleDelivery()
  }

  /// Has what has arrived delivered, in a turn of its own: not from inside a call of the program's.
  func scheduleDelivery() {
    guard !isDeliveryScheduled, !loop.isClosed else { return }
    isDeliveryScheduled = true
    // Every pause has its own time.
    brokenSending?.timer?.cancel()
    brokenSending?.timer = nil
    loop.callSoon { [self] in
      isDeliveryScheduled = false
      if let brokenSending {
        deliverShare(brokenSending)
      } else if let tls, tls.hasHeldBytes, state.isDelivering {
        deliver(tls)
      }
      settle()
    }
  }

  private func deliverShare(_ broken: BrokenSending) {
    guard state.hasFailedSending else { return }
    guard state.isReading else { return waitForReader(broken) }
    read()
    guard state.hasFailedSending else { return }
    if let tls, state.isReading, !tls.hasHeldBytes, tls.wire.isEmpty { return end(broken.error) }
    scheduleDelivery()
  }

  /// Reading is paused: what waits for it decides whether the end has to wait as well.
  private func waitForReader(_ broken: BrokenSending) {
    let hasRest = tls?.hasHeldBytes == true || loop.kernel.hasUnreadBytes(descriptor)
    guard hasRest else { return end(broken.error) }
    brokenSending?.timer = loop.callLater(StreamTransport.pauseLimit) { [self] in
      if state.hasFailedSending { end(broken.error) }
      settle()
    }
    // Nothing is buffered any more. Whoever waits for that may be who has to go on reading.
    tellFlow()
  }
}
