// SPDX-License-Identifier: Apache-2.0
import CAsyncIO
public import SystemPackage

/// A system call that failed: which, on what, and why. asyncio's `OSError`.
///
/// It reads `connect 127.0.0.1:1: Connection refused (ECONNREFUSED)`.
public struct IOError: Error, Hashable, Sendable {
  /// The platform's error number.
  public var code: Errno
  /// The operation that failed, such as `connect`.
  public var operation: String
  /// What it was done on: an address, a path, or a descriptor.
  public var subject: String?
  /// Where several addresses were tried in vain: the error of each, in the order of the attempts.
  public var attempts: [IOError]

  /// Describes a failure.
  public init(_ code: Errno, _ operation: String, _ subject: String? = nil, attempts: [IOError] = []) {
    self.code = code
    self.operation = operation
    self.subject = subject
    self.attempts = attempts
  }
}

extension IOError: CustomStringConvertible {
  /// Operation, object and cause in one line; control characters are escaped.
  public var description: String {
    let object = subject.map { "\(operation) \($0.printable())" } ?? operation
    if attempts.isEmpty { return "\(object): \(code) (\(code.symbol))" }
    var texts: [String] = []
    for attempt in attempts.map(\.description) where !texts.contains(attempt) { texts.append(attempt) }
    return "\(object): every address failed: " + texts.joined(separator: "; ")
  }

  /// One error for attempts that failed: their own where there is but one, or all say the same.
  ///
  /// - Returns: nil without an attempt.
  static func combining(_ failures: [IOError], _ operation: String, _ subject: String) -> IOError? {
    guard let first = failures.first else { return nil }
    let isOne = failures.allSatisfy { $0.description == first.description }
    return isOne ? first : IOError(first.code, operation, subject, attempts: failures)
  }
}

extension Errno {
  /// The constant's name, such as `ECONNREFUSED`.
  var symbol: String {
    guard let name = unsafe casyncio_errno_name(rawValue) else { return "errno \(rawValue)" }
    return unsafe String(cString: name)
  }
}

/// A name that could not be looked up. asyncio's `socket.gaierror`.
public struct ResolutionError: Error, Hashable, Sendable, CustomStringConvertible {
  /// The look-up: `getaddrinfo` or `getnameinfo`.
  public var operation: String
  /// The resolver's code, such as `EAI_NONAME`.
  public var code: Int32
  /// The resolver's sentence for it.
  public var message: String
  /// Host and service as they were asked for.
  public var subject: String

  /// Describes a failure.
  public init(operation: String = "getaddrinfo", code: Int32, message: String, subject: String) {
    self.operation = operation
    self.code = code
    self.message = message
    self.subject = subject
  }

  /// Call, name and cause in one line; control characters are escaped.
  public var description: String { "\(operation) \(subject.printable()): \(message) (\(code))" }
}
