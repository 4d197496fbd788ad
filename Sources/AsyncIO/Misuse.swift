// SPDX-License-Identifier: Apache-2.0

/// Ends the process because of a mistake of the program, with a sentence that says what to do.
///
/// Not `preconditionFailure`, whose sentence is gone from an optimised build, where it is needed most.
package func misuse(_ sentence: @autoclosure () -> String) -> Never { fatalError(sentence()) }

/// Ends the process by ``misuse(_:)`` unless the condition holds, in optimised builds too.
@inline(__always)
package func require(_ condition: Bool, _ sentence: @autoclosure () -> String) {
  if !condition { misuse(sentence()) }
}
