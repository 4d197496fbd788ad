// SPDX-License-Identifier: Apache-2.0

/// Where on a host a service is: a port, such as `443`, or the name of a service, such as `"https"`, which the system
/// looks up.
public protocol ServicePort: Sendable {
  /// The port in digits, or the name.
  var servicePort: String { get }
}

extension Int: ServicePort {
  /// The number in digits. Ports are between 0 and 65535; others are refused by the call that they are given to.
  public var servicePort: String { String(self) }
}

extension UInt16: ServicePort {
  /// The number in digits.
  public var servicePort: String { String(self) }
}

extension String: ServicePort {
  /// The text itself.
  public var servicePort: String { self }
}
