// SPDX-License-Identifier: Apache-2.0
import AsyncIO

extension SimulatedKernel {
  /// The services whose names are known without a file that lists them.
  private static let services: [String: UInt16] = [
    "echo": 7, "ftp": 21, "ssh": 22, "telnet": 23, "smtp": 25, "domain": 53, "http": 80, "pop3": 110, "ntp": 123,
    "imap2": 143, "ldap": 389, "https": 443, "imaps": 993, "pop3s": 995, "postgresql": 5432, "redis": 6379,
    "http-alt": 8080,
  ]

  func lookUp(_ query: AddressQuery) throws(ResolutionError) -> [AddressInfo] {
    func failure(_ code: Int32, _ message: String) -> ResolutionError {
      ResolutionError(code: code, message: message, subject: query.subject)
    }
    guard let port = SimulatedKernel.port(query.service) else {
      throw failure(ResolutionError.Code.noService, "no such service in the simulated network")
    }
    var addresses: [SocketAddress]
    if let host = query.host {
      addresses = try named(host, query, failure)
    } else {
      addresses = (query.flags.contains(.passive) ? ["0.0.0.0", "::"] : ["::1", "127.0.0.1"])
        .compactMap { SocketAddress(ip: $0, port: 0) }
    }
    if query.family != .unspecified { addresses.removeAll { $0.family != query.family } }
    let kinds = query.kind.rawValue == 0 ? [SocketKind.stream, .datagram] : [query.kind]
    var answers: [AddressInfo] = []
    for address in addresses {
      for kind in kinds {
        let literal = AddressQuery(
          host: address.host, service: "\(port)", family: query.family, kind: kind,
          transportProtocol: query.transportProtocol)
        if var answer = literal.literalAnswer {
          if answers.isEmpty, query.flags.contains(.canonicalName) { answer.canonicalName = query.host }
          answers.append(answer)
        }
      }
    }
    if answers.isEmpty { throw failure(ResolutionError.Code.family, "the name has no address of that family") }
    return answers
  }

  private func named(
    _ name: String, _ query: AddressQuery, _ failure: (Int32, String) -> ResolutionError
  ) throws(ResolutionError) -> [SocketAddress] {
    if let literal = SocketAddress(ip: name, port: 0) { return [literal] }
    if name == "localhost" {
      return ["::1", "127.0.0.1"].compactMap { SocketAddress(ip: $0, port: 0) }
    }
    if query.flags.contains(.numericHost) {
      throw failure(ResolutionError.Code.noName, "the host is not written in numbers")
    }
    if host.network?.faults.failsLookUp() == true {
      throw failure(ResolutionError.Code.tryAgain, "no name server answers in the simulated network")
    }
    switch host.network?.entry(name) {
    case .addresses(let addresses): return addresses
    case .fails(.tryAgain):
      throw failure(ResolutionError.Code.tryAgain, "no name server answers in the simulated network")
    case .fails(.failure):
      throw failure(ResolutionError.Code.failure, "the name servers of the simulated network fail")
    case .fails(.noSuchName), nil:
      throw failure(ResolutionError.Code.noName, "no such name in the simulated network")
    }
  }

  private static func port(_ service: String?) -> UInt16? {
    guard let service, !service.isEmpty else { return 0 }
    return UInt16(service) ?? services[service]
  }

  func lookUpName(_ address: SocketAddress, _ flags: NameInfoFlags) throws(ResolutionError) -> NameInfo {
    let numeric = address.host ?? ""
    let isNumeric = flags.contains(.numericHost)
    let name =
      isNumeric ? nil : address.isLoopback ? "localhost" : host.network?.hosts.first { $0.has(address) }?.name
    if name == nil, flags.contains(.nameRequired) {
      throw ResolutionError(
        operation: "getnameinfo", code: ResolutionError.Code.noName, message: "the address has no name",
        subject: address.description)
    }
    let port = address.port ?? 0
    let service = flags.contains(.numericService) ? nil : SimulatedKernel.services.first { $0.value == port }?.key
    return NameInfo(host: name ?? numeric, service: service ?? "\(port)")
  }
}
