// SPDX-License-Identifier: Apache-2.0
import Synchronization

/// A value that one thread leaves and another takes, once. Whoever takes it is its only owner.
final class HandOver<Value>: Sendable {
  private let content: Mutex<LoopBound<Value>?>

  init() { content = Mutex(nil) }

  init(_ value: sending Value) { content = Mutex(LoopBound(value)) }

  func put(_ value: sending Value) {
    let value = LoopBound(value)
    content.withLock { $0 = value }
  }

  func take() -> sending Value? {
    let taken = content.withLock { content in
      defer { content = nil }
      return content
    }
    guard let taken else { return nil }
    // It was sent in, and nothing else refers to it here.
    nonisolated(unsafe) let value = taken.value
    return unsafe value
  }
}
