// SPDX-License-Identifier: Apache-2.0
import SystemPackage

/// The signals that one loop handles: what the table of the process sends here becomes callbacks.
///
/// It exists as long as there is a signal to handle.
final class SignalHandlers: ReadinessWatcher {
  /// One signal, from its first handler to its removal. A delivery that is queued refers to this rather than to the handler:
  /// so it runs the handler that has replaced the first meanwhile, and none after a removal.
  private final class Registration {
    var handler: ScheduledCall?
    init(_ handler: ScheduledCall) { self.handler = handler }
  }

  private unowned let loop: EventLoop
  /// The loop's. It is kept here for the end, when the loop may be in its `deinit` and must not be referred to.
  private let kernel: any Kernel
  private let queue: SignalQueue
  private var registrations: [Signal: Registration] = [:]
  /// Called for a signal that is to end the program, where no handler is set for it.
  private var onEnding: ((Signal) -> Void)?

  init(_ loop: EventLoop) throws(Errno) {
    self.loop = loop
    kernel = loop.kernel
    queue = SignalQueue(counter: try kernel.makeCounter())
    super.init()
    loop.claim(queue.counter, for: self)
    do throws(Errno) {
      try loop.setInterest(.read, for: queue.counter)
    } catch {
      close()
      throw error
    }
  }

  var isEmpty: Bool { registrations.isEmpty && onEnding == nil }

  /// Sets the handler of a signal; false when it is another loop's.
  func set(_ handler: ScheduledCall, for signal: Signal) throws(Errno) -> Bool {
    if kernel.hasSignalsOfTheProcess {
      guard try SignalTable.claim(signal, for: queue, kernel) else { return false }
    }
    guard let registration = registrations[signal] else {
      registrations[signal] = Registration(handler)
      return true
    }
    let old = registration.handler
    registration.handler = handler
    old?.cancel()
    return true
  }

  /// Takes the handler of a signal away; false when there is none.
  func remove(_ signal: Signal) -> Bool {
    guard let registration = registrations.removeValue(forKey: signal) else { return false }
    if kernel.hasSignalsOfTheProcess { SignalTable.release(signal, by: queue, kernel) }
    let handler = registration.handler
    registration.handler = nil
    handler?.cancel()
    return true
  }

  /// Has the first of these signals call back, and the second end the process, unless a handler is set for it. One that
  /// the program handles by itself, or ignores, is left alone.
  func setEnding(_ signals: [Signal], _ callback: @escaping (Signal) -> Void) {
    for signal in signals where (try? SignalTable.claimEnding(signal, for: queue, kernel)) == true {
      onEnding = callback
    }
  }

  func removeEnding() {
    SignalTable.releaseEndings(by: queue, kernel)
    onEnding = nil
  }

  // MARK: Delivery

  override func descriptorIsReady(_ ready: Interest) {
    kernel.drainCounter(queue.counter)
    let isMoreLeft = queue.take { signal in
      if !deliver(signal), let onEnding { schedule { onEnding(signal) } }
    }
    // A handler that was removed here may have removed others when it was released, and so closed the counter.
    if isMoreLeft, loop.signalHandlers === self { queue.wake() }
    loop.discardEmptySignalHandlers()
  }

  /// Queues the handler. It is looked up when its turn comes, since it may be replaced or removed until then.
  ///
  /// - Returns: whether there is one, be it that it was cancelled, in which case the signal is ignored.
  func deliver(_ signal: Signal) -> Bool {
    guard let registration = registrations[signal], let handler = registration.handler else { return false }
    if handler.wasCancelled { return remove(signal) }
    schedule(madeAt: handler.callSite) { [unowned loop] in
      guard let handler = registration.handler else { return }
      do { try handler.run() } catch { loop.reportFailure(of: handler, error) }
    }
    return true
  }

  private func schedule(madeAt callSite: CallSite? = nil, _ callback: @escaping () throws -> Void) {
    let call = loop.core.makeCall(callback)
    if let callSite { call.callSite = callSite }
    loop.core.ready.appendDue(.callback(call))
  }

  // MARK: The end

  override func loopWasClosed() {
    for signal in Array(registrations.keys) { _ = remove(signal) }
    removeEnding()
    try? kernel.close(queue.counter)
  }

  /// Gives the counter back. Nothing is claimed any more, so that no signal handler knows of it.
  func close() {
    loop.release(queue.counter)
    try? kernel.close(queue.counter)
  }
}
