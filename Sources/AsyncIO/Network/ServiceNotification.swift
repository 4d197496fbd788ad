// SPDX-License-Identifier: Apache-2.0
public import SystemPackage

/// Something that a service tells its manager. What `sd_notify` of systemd's library takes; asyncio has no counterpart.
///
/// See ``EventLoop/notifyServiceManager(_:)``.
public struct ServiceNotification: Hashable, Sendable {
  private enum Content: Hashable, Sendable {
    case assignment(String)
    case reloading
  }
  private let content: Content

  private init(_ content: Content) { self.content = content }
  private init(_ name: String, _ value: some CustomStringConvertible) { self.init(.assignment("\(name)=\(value)")) }

  /// The service has started, or has reloaded: it serves. `READY=1`.
  ///
  /// A predecessor that started this process by ``EventLoop/startSuccessor(_:_:passing:timeout:options:)`` waits for this.
  public static let ready = ServiceNotification("READY", 1)

  /// The service loads its configuration anew, or restarts itself; ``ready`` tells the end of that. `RELOADING=1`, with the
  /// time at which it is sent, which services of the type `notify-reload` have to give.
  public static let reloading = ServiceNotification(.reloading)

  /// The service is on its way out. `STOPPING=1`.
  public static let stopping = ServiceNotification("STOPPING", 1)

  /// The service is alive; see ``EventLoop/serviceWatchdogInterval()``. `WATCHDOG=1`.
  public static let watchdog = ServiceNotification("WATCHDOG", 1)

  /// What the service does, in a line for people. `STATUS=`.
  ///
  /// Control characters, line ends among them, become spaces, so that a text from elsewhere says nothing but a status; what is
  /// longer than 1,024 bytes is cut off.
  public static func status(_ text: String) -> ServiceNotification {
    ServiceNotification("STATUS", text.oneLine(maxBytes: 1024))
  }

  /// The service fails, for this reason. `ERRNO=`.
  public static func failure(_ code: Errno) -> ServiceNotification { ServiceNotification("ERRNO", code.rawValue) }

  /// Another process is the service's main one from now on, such as a successor. `MAINPID=`.
  public static func mainProcess(_ processID: Int32) -> ServiceNotification {
    ServiceNotification("MAINPID", processID)
  }

  /// Starting, reloading or stopping takes this much longer, counted from now. `EXTEND_TIMEOUT_USEC=`.
  public static func extendTimeout(_ duration: Duration) -> ServiceNotification {
    ServiceNotification("EXTEND_TIMEOUT_USEC", max(0, duration.clampedNanoseconds / 1000))
  }

  /// The lines of the protocol, at a time of the monotonic clock in nanoseconds.
  func lines(at now: Int64) -> String {
    switch content {
    case .assignment(let line): line
    case .reloading: "RELOADING=1\nMONOTONIC_USEC=\(now / 1000)"
    }
  }
}

extension String {
  /// The text on one line, cut off between two characters.
  fileprivate func oneLine(maxBytes: Int) -> String {
    var line = ""
    for scalar in unicodeScalars {
      let isControl = scalar.properties.generalCategory == .control
      let next: Unicode.Scalar = isControl ? " " : scalar
      if line.utf8.count + UTF8.width(next) > maxBytes { break }
      line.unicodeScalars.append(next)
    }
    return line
  }
}
