// SPDX-License-Identifier: Apache-2.0
import SystemPackage
import Testing

@testable import AsyncIO

@Suite struct NewerCallTests {
  /// Which of both are called.
  private final class Calls {
    var log: [String] = []

    func attempt(_ call: NewerCall, newer: Errno? = nil, older: Errno? = nil) -> Result<String, Errno> {
      Result { () throws(Errno) in
        try call.attempt { () throws(Errno) in
          log.append("newer")
          if let newer { throw newer }
          return "by the newer"
        } else: { () throws(Errno) in
          log.append("older")
          if let older { throw older }
          return "by the older"
        }
      }
    }
  }

  @Test("the older call is not made as long as the newer one works") func works() {
    let (call, calls) = (NewerCall(), Calls())
    for _ in 0..<3 { #expect(calls.attempt(call) == .success("by the newer")) }
    #expect(calls.log == ["newer", "newer", "newer"])
  }

  @Test(
    "a call that is refused is made by the older one, and not tried again",
    arguments: [Errno.noFunction, .notPermitted, .invalidArgument, .permissionDenied, .notSupported])
  func refused(_ code: Errno) {
    let (call, calls) = (NewerCall(), Calls())
    #expect(calls.attempt(call, newer: code) == .success("by the older"))
    #expect(calls.attempt(call) == .success("by the older"))
    #expect(calls.log == ["newer", "older", "older"])
  }

  @Test(
    "an error that has nothing to do with the way is the call's own",
    arguments: [Errno.interrupted, .tooManyOpenFiles, .badFileDescriptor, .resourceTemporarilyUnavailable])
  func ownError(_ code: Errno) {
    let (call, calls) = (NewerCall(), Calls())
    #expect(calls.attempt(call, newer: code) == .failure(code))
    #expect(calls.attempt(call) == .success("by the newer"))
    #expect(calls.log == ["newer", "newer"])
  }

  @Test("where both fail, it was for what was asked: the newer one is tried the next time") func bothFail() {
    let (call, calls) = (NewerCall(), Calls())
    #expect(calls.attempt(call, newer: .notPermitted, older: .notPermitted) == .failure(.notPermitted))
    #expect(calls.attempt(call) == .success("by the newer"))
    #expect(calls.log == ["newer", "older", "newer"])
  }
}
