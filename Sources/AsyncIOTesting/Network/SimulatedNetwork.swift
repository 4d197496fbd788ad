// SPDX-License-Identifier: Apache-2.0
public import AsyncIO

/// A network in memory: hosts, each with a loop, and the ways between them.
///
/// Servers, clients, streams, TLS and datagrams run in it as they are. What happens in which order, how long it takes and what
/// goes wrong is drawn from a seed: the same seed gives the same run. Get one from
/// ``withSimulatedNetwork(seed:onlyFaults:firstChoices:file:line:_:)``.
///
/// It belongs to the thread of its run.
public final class SimulatedNetwork {
  let world: World
  /// What the choices are drawn from.
  public let seed: UInt64
  var faults: Faults
  /// The hosts that were made.
  public private(set) var hosts: [SimulatedHost] = []
  /// The one that runs the test.
  let director: SimulatedHost
  /// Told what has become of the run when that is over.
  var onEnd: ((RunRecord) -> Void)?
  /// Whether it is one host alone, on which nothing takes time.
  private let isAlone: Bool
  private var paths: [PathKey: Path] = [:]
  private var names: [String: NameEntry] = [:]

  /// How the ways between hosts are that have no conditions of their own.
  public var conditions: LinkConditions {
    didSet { for path in paths.values where path.from !== path.to { path.conditions = conditions } }
  }

  /// How long a look-up takes; drawn anew for each.
  public var lookUpLatency: ClosedRange<Duration> = .zero ... .zero

  private struct PathKey: Hashable {
    let from: Int
    let to: Int
  }

  enum NameEntry {
    case addresses([SocketAddress])
    case fails(LookUpFailure)
  }

  /// - Parameters:
  ///   - seed: what is drawn is drawn from.
  ///   - choiceLimit: how many choices are drawn, of the first.
  ///   - onlyFaults: the only faults that may happen; nil for all.
  ///   - isAlone: whether the host that runs the test is the only one, `localhost`. Else it is outside of the network.
  init(seed: UInt64, choiceLimit: Int, onlyFaults: Set<Int>? = nil, isAlone: Bool = false) throws {
    self.seed = seed
    generator = SeededGenerator(seed: seed)
    world = World(seed: seed, choiceLimit: choiceLimit)
    faults = Faults(seed: seed, only: onlyFaults)
    self.isAlone = isAlone
    conditions = isAlone ? .perfect : .local
    director = SimulatedHost(
      world, name: isAlone ? "localhost" : "the test", number: 0, [], HostClock(world: world.clock), isDirector: true)
    if isAlone { director.network = self }
    try director.boot()
  }

  // MARK: Hosts

  /// Makes a host, and starts it.
  ///
  /// - Parameters:
  ///   - name: by which others look it up; unique in the network.
  ///   - addresses: its addresses; nil for one of IPv4 and one of IPv6 of the network's choice.
  ///   - clockOffset: how far its clock is ahead of the network's.
  ///   - clockDrift: how much its clock gains, in parts per million.
  /// - Returns: the host. An address that is none, or that another host has, is a programmer error.
  public func host(
    _ name: String, addresses: [String]? = nil, clockOffset: Duration = .zero, clockDrift: Int = 0
  ) -> SimulatedHost {
    require(!hosts.contains { $0.name == name }, "SimulatedNetwork.host: there is a host \(name) already")
    let number = hosts.count + 1
    let texts = addresses ?? ["10.0.\(number >> 8 & 255).\(number & 255)", "fd00::\(String(number, radix: 16))"]
    let own = texts.map { text -> SocketAddress in
      guard let address = SocketAddress(ip: text, port: 0) else {
        misuse("SimulatedNetwork.host: \(text) is no address")
      }
      require(!hosts.contains { $0.has(address) }, "SimulatedNetwork.host: another host has the address \(text)")
      return address
    }
    return add(name, own, HostClock(world: world.clock, offset: clockOffset.wholeNanoseconds, drift: Int64(clockDrift)))
  }

  func add(_ name: String, _ addresses: [SocketAddress], _ clock: HostClock) -> SimulatedHost {
    let host = SimulatedHost(world, name: name, number: hosts.count + 1, addresses, clock)
    host.network = self
    hosts.append(host)
    do { try host.boot() } catch { misuse("SimulatedNetwork.host: the system has no memory for a loop: \(error)") }
    return host
  }

  /// The loop that runs the test itself. It is on no host, and so reaches none; it is there to let time pass:
  /// `try await network.loop.sleep(for: .seconds(1))`.
  public var loop: EventLoop { director.loop }

  func host(at address: SocketAddress) -> SimulatedHost? { hosts.first { $0.has(address) } }

  // MARK: Ways

  func path(from: SimulatedHost, to: SimulatedHost) -> Path {
    let key = PathKey(from: from.number, to: to.number)
    if let path = paths[key] { return path }
    if from === to {
      let path = Path(world, from, to, isAlone ? .perfect : .loopback)
      paths[key] = path
      return path
    }
    let (there, back) = (Path(world, from, to, conditions), Path(world, to, from, conditions))
    there.setBack(back)
    back.setBack(there)
    paths[key] = there
    paths[PathKey(from: to.number, to: from.number)] = back
    return there
  }

  /// Sets how the ways between two hosts are, in both directions.
  public func setConditions(_ conditions: LinkConditions, between a: SimulatedHost, and b: SimulatedHost) {
    let path = path(from: a, to: b)
    path.conditions = conditions
    path.back.conditions = conditions
  }

  /// Stops everything between two hosts, in both directions. Nobody is told.
  ///
  /// Streams are held up: what was sent arrives once the partition is over, unless a kernel has given up by then, after a
  /// quarter of an hour. Datagrams are lost.
  public func partition(_ a: SimulatedHost, _ b: SimulatedHost) {
    block(from: a, to: b)
    block(from: b, to: a)
  }

  /// Stops what one host sends to another, and not what comes back.
  public func block(from: SimulatedHost, to: SimulatedHost) { path(from: from, to: to).cut() }

  /// Stops everything between the hosts and all others.
  public func isolate(_ hosts: SimulatedHost...) {
    for host in hosts {
      for other in self.hosts where !hosts.contains(where: { $0 === other }) { partition(host, other) }
    }
  }

  /// Ends the partition of two hosts.
  public func heal(_ a: SimulatedHost, _ b: SimulatedHost) {
    path(from: a, to: b).heal()
    path(from: b, to: a).heal()
  }

  /// Ends all partitions.
  public func heal() {
    for path in orderedPaths { path.heal() }
  }

  /// Breaks every stream between two hosts, as a router does that was started again: both ends are told at once.
  public func resetConnections(between a: SimulatedHost, and b: SimulatedHost) {
    for host in [a, b] {
      let other = host === a ? b : a
      for (_, file) in host.kernel?.openFiles ?? [] {
        guard let end = (file as? StreamSocket)?.end, other.has(end.remoteAddress) else { continue }
        end.reset()
      }
    }
  }

  /// Not in the order of a dictionary, which differs from run to run.
  private var orderedPaths: [Path] {
    paths.sorted { ($0.key.from, $0.key.to) < ($1.key.from, $1.key.to) }.map(\.value)
  }

  func hostIsUp(_ host: SimulatedHost) {
    for path in orderedPaths where path.to === host { path.mayBeOpen() }
  }

  // MARK: Faults and choices

  /// How often things go wrong by themselves.
  public var faultRates: FaultRates {
    get { faults.rates }
    set { faults.rates = newValue }
  }

  /// Random numbers of the run, for the test's own choices: they are the same for the same seed.
  public var generator: SeededGenerator

  /// A fingerprint of everything that has happened so far: two runs with the same one have been the same.
  public var fingerprint: UInt64 { world.trace.fingerprint }

  /// How many of the last events ``trace`` keeps; none from the start, since that takes time.
  public var traceLimit: Int {
    get { world.trace.lineLimit }
    set { world.trace.lineLimit = newValue }
  }

  /// The last events, one a line: when, on which host, which system call, on which descriptor, and what it answered.
  public var trace: [String] { world.trace.text }

  /// How much time has passed in the network since its beginning.
  public var time: Duration { .nanoseconds(world.now) }

  // MARK: Names

  /// Has look-ups of a name answer so, for every host.
  public func setName(_ name: String, to addresses: [String]) {
    names[name] = .addresses(
      addresses.map { text in
        guard let address = SocketAddress(ip: text, port: 0) else {
          misuse("SimulatedNetwork.setName: \(text) is no address")
        }
        return address
      })
  }

  /// Has look-ups of a name fail, for every host; nil takes that back.
  public func failLookUps(of name: String, with failure: LookUpFailure?) {
    names[name] = failure.map { .fails($0) }
  }

  func entry(_ name: String) -> NameEntry? {
    if let entry = names[name] { return entry }
    return hosts.first { $0.name == name }.map { .addresses($0.addresses) }
  }

  func lookUpDelay() -> Int64 {
    let range = lookUpLatency.lowerBound.wholeNanoseconds...lookUpLatency.upperBound.wholeNanoseconds
    return world.choices.within(range)
  }
}

extension LinkConditions {
  /// What a host sends to itself takes no time worth speaking of, but other things may happen meanwhile.
  static let loopback = LinkConditions(latency: .zero ... .microseconds(30))
}

/// Why a look-up fails.
public enum LookUpFailure: Hashable, Sendable {
  /// There is no such name.
  case noSuchName
  /// No name server answers just now.
  case tryAgain
  /// The name servers fail for good.
  case failure
}
