// SPDX-License-Identifier: Apache-2.0

/// What a waiting task has brought for whoever wakes it, or is given by that one, before either can run on.
final class Slot<Content> {
  var content: Content?

  init(_ content: Content? = nil) { self.content = content }

  func take() -> Content? { content.take() }
}
