// SPDX-License-Identifier: Apache-2.0
import SystemPackage

/// Makes a connected socket out of addresses, which it tries in turn.
struct Connector {
  let loop: EventLoop
  /// What to bind to before connecting: one of these of the right family. Nil: whatever the kernel picks.
  var localAddresses: [AddressInfo]?
  /// How long an attempt has for itself before the next one begins beside it (RFC 8305). Nil: one after the other.
  var raceDelay: Duration?

  /// The first connection that comes about.
  ///
  /// - Throws: where all addresses fail, one ``IOError`` that lists each; their own where all say the same.
  func connect(_ addresses: [AddressInfo], subject: String) async throws -> Socket {
    var failures: [IOError] = []
    if let raceDelay, addresses.count > 1 {
      let race = ConnectionRace(self, addresses, delay: raceDelay)
      if let winner = try await race.run() { return winner }
      failures = race.failures
    } else {
      for address in addresses {
        do {
          return try await connect(address)
        } catch let error as IOError {
          failures.append(error)
        }
      }
    }
    throw IOError.combining(failures, "connect", subject) ?? IOError(.addressNotAvailable, "connect", subject)
  }

  func connect(_ info: AddressInfo) async throws -> Socket {
    let socket = try Socket(streamTo: info, loop.kernel)
    do {
      if let localAddresses { try bind(socket, to: localAddresses, family: info.family) }
      try await loop.connect(socket, to: info.address)
      return socket
    } catch {
      socket.close()
      throw error
    }
  }

  private func bind(_ socket: Socket, to addresses: [AddressInfo], family: AddressFamily) throws {
    var failure: IOError?
    for local in addresses where local.family == family {
      do {
        try socket.bind(to: local.address)
        return
      } catch {
        failure = error
      }
    }
    let all = addresses.map(\.address.description).joined(separator: ", ")
    throw failure ?? IOError(.addressFamilyNotSupported, "bind", "\(all) (no local address of the remote's family)")
  }
}

extension Socket {
  /// Makes a stream socket for an address.
  convenience init(streamTo info: AddressInfo, _ kernel: any Kernel) throws(IOError) {
    do throws(IOError) {
      try self.init(info.family, .stream, transportProtocol: info.transportProtocol, kernel: kernel)
    } catch {
      // Of many attempts the reader has to know which.
      throw IOError(error.code, error.operation, "for \(info.address)")
    }
  }
}
