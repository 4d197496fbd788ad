// SPDX-License-Identifier: Apache-2.0
import SystemPackage

/// Look-ups that may block, on a few threads of their own, so that slow name servers starve nothing else.
private let lookUpThreads = WorkerThreads(limit: 4)

extension EventLoop {
  /// Looks up addresses. Those that are written in numbers are answered at once.
  ///
  /// A look-up cannot be interrupted: cancelling the task abandons it, and its late answer is ignored.
  func lookUp(_ query: AddressQuery) async throws -> [AddressInfo] {
    if let answer = query.literalAnswer { return [answer] }
    let kernel = kernel
    let remote = remote
    var answer: Result<[AddressInfo], ResolutionError>?
    try await wait("getaddrinfo") { waiter in
      let reply = LoopBound { (result: Result<[AddressInfo], ResolutionError>) in
        answer = result
        waiter.resume()
      }
      do {
        try lookUpThreads.submit {
          let result = Result { () throws(ResolutionError) in try kernel.lookUp(query) }
          // A loop that closed meanwhile does not want it any more.
          try? remote.callSoonThreadsafe { _ in reply.value(result) }
        }
      } catch {
        waiter.resume(.failure(error))
      }
    }
    guard let answer else { preconditionFailure("a look-up woke its waiter without an answer") }
    return try answer.get()
  }

  /// Looks up a host's addresses for a numbered port.
  ///
  /// - Parameter host: nil or empty stands for this machine, or with `.passive` for all its interfaces.
  func lookUp(
    host: String?, port: Int, family: AddressFamily, transportProtocol: Int32 = 0, flags: AddressInfoFlags,
    operation: String
  ) async throws -> [AddressInfo] {
    guard UInt16(exactly: port) != nil else {
      throw IOError(.invalidArgument, operation, "\(host ?? "*"):\(port) (a port is between 0 and 65535)")
    }
    let host = host?.isEmpty == true ? nil : host
    return try await lookUp(
      AddressQuery(
        host: host, service: String(port), family: family, transportProtocol: transportProtocol, flags: flags))
  }
}
