// SPDX-License-Identifier: Apache-2.0
import Testing

@testable import AsyncIO

@Suite struct SubprocessStateTests {
  @Test("The end is due with the last of exit and pipes, whichever order they come in, and once")
  func lastOne() {
    for order in [[-1, 0, 1, 2], [0, 1, 2, -1], [2, -1, 0, 1]] as [[Int32]] {
      var state = SubprocessState(pipes: [0, 1, 2])
      let answers = order.map { $0 < 0 ? state.exited() : state.pipeEnded($0) }
      #expect(answers == [false, false, false, true], "\(order)")
      #expect(state.hasEnded)
      #expect(state.isClosing)
      let late = [state.exited(), state.pipeEnded(1)]
      #expect(late == [false, false])
    }
  }

  @Test("Without pipes the exit is the end")
  func noPipes() {
    var state = SubprocessState(pipes: [])
    #expect(!state.hasEnded)
    let isDone = state.exited()
    #expect(isDone)
  }

  @Test("It is closed once, and closing is not the end")
  func closing() {
    var state = SubprocessState(pipes: [1])
    #expect(!state.isClosing)
    let first = [state.close(), state.close()]
    #expect(first == [true, false])
    #expect(!state.hasEnded)
    let dones = [state.exited(), state.pipeEnded(1)]
    #expect(dones == [false, true])
  }
}
