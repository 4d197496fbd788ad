// SPDX-License-Identifier: Apache-2.0
public import AsyncIO
public import SystemPackage

/// A host of a simulated network: a loop on a kernel of its own, with addresses and a clock.
///
/// It belongs to the thread of its network, as its loop and all of that loop's objects do. Unlike loops in earnest, those of
/// one network share a thread, so that the tasks of one may look at what those of another have made.
public final class SimulatedHost {
  /// By which others can look it up.
  public let name: String
  /// Its addresses, with port 0.
  public let addresses: [SocketAddress]
  let number: Int
  /// The network that it is in; it does not outlive that.
  weak var network: SimulatedNetwork?
  private let world: World
  private let clock: HostClock
  private(set) var machine: Machine?
  /// Those that have crashed, whose tasks end with the network.
  private(set) var crashed: [Machine] = []
  /// Told why when the host crashes, or its process ends.
  private var onCrash: [(SimulationError) -> Void] = []
  /// The signals that came while the process was stopped.
  var pendingSignals: [Signal] = []
  /// Whether a signal was the first to end the process, so that the next one does so at once.
  var isEnding = false
  var refusals = Refusals()
  /// Whether it runs the test itself, which faults leave alone.
  let isDirector: Bool

  /// How many descriptors it may have open.
  public var descriptorLimit = 100_000
  /// How much of one direction of a stream both kernels hold, and how much of what comes to a datagram socket, in bytes. For
  /// sockets that are made from now on.
  public var socketBufferSize = 212_992
  /// What went to the exception handler of its loop, in order, unless the program has set one of its own.
  public private(set) var reportedErrors: [ExceptionContext] = []

  init(
    _ world: World, name: String, number: Int, _ addresses: [SocketAddress], _ clock: HostClock,
    isDirector: Bool = false
  ) {
    self.world = world
    self.name = name
    self.number = number
    self.addresses = addresses
    self.clock = clock
    self.isDirector = isDirector
  }

  /// Its loop.
  ///
  /// While the host is down it is a programmer error to ask.
  public var loop: EventLoop { runningMachine.loop }

  var runningMachine: Machine {
    guard let machine else { misuse("SimulatedHost: \(name) is down; call restart() first") }
    return machine
  }

  /// Its kernel; nil while it is down.
  var kernel: SimulatedKernel? { machine?.kernel }

  /// Whether it runs.
  public var isUp: Bool { machine != nil }

  // MARK: Programs

  /// Runs a program on the host, and awaits its end.
  ///
  /// - Parameters:
  ///   - name: the name of the program's task; nil for the host's.
  ///   - file: where the call is.
  ///   - line: where the call is.
  ///   - body: the program.
  /// - Returns: what the program returns.
  /// - Throws: what the program throws; ``SimulationError`` `.crashed` when the host crashes meanwhile, or a signal ends its
  ///   process.
  public func run<R>(
    name: String? = nil, file: StaticString = #fileID, line: UInt = #line,
    _ body: @escaping (EventLoop) async throws -> R
  ) async throws -> R {
    let task = start(name: name, file: file, line: line, body)
    guard let caller = EventLoop.running, caller !== task.loop else { return try await task.value }
    let end = Future<Void>(caller)
    task.whenDone { try? end.setResult(()) }
    onCrash.append { error in try? end.setError(error) }
    do {
      try await end.value
    } catch is CancellationError {
      task.cancel()
    }
    return try await task.value
  }

  /// Starts a program on the host.
  ///
  /// Programs that have not ended when the test has are cancelled, and awaited.
  ///
  /// - Returns: the task that runs it.
  @discardableResult
  public func start<R>(
    name: String? = nil, file: StaticString = #fileID, line: UInt = #line,
    _ body: @escaping (EventLoop) async throws -> R
  ) -> LoopTask<R> {
    let machine = runningMachine
    let loop = machine.loop
    let program = loop.createTask(name: name ?? self.name, file: file, line: line) { try await body(loop) }
    machine.add(program)
    return program
  }

  /// Makes a socket of the host, for `sock…` calls and for servers that are given one. (`Socket`'s own initialisers make real
  /// ones, of which the host knows nothing.)
  ///
  /// - Throws: `IOError` for `socket`.
  public func makeSocket(_ family: AddressFamily, _ kind: SocketKind = .stream) throws(IOError) -> Socket {
    try Socket(family, kind, transportProtocol: 0, kernel: runningMachine.kernel)
  }

  // MARK: Its life

  /// Makes loop and kernel.
  func boot() throws {
    let kernel = SimulatedKernel(world, self, clock)
    let machine = try Machine(world, kernel, name: name, number: number)
    self.machine = machine
    world.add(machine)
    if !isDirector {
      machine.loop.setExceptionHandler { [weak self] _, context in self?.reportedErrors.append(context) }
    }
  }

  /// Takes the host down, as a power cut does: nothing of its programs runs any more, no connection is closed, and nobody is
  /// told. Others find out when they send something, and get no answer. A host that is down stays down.
  public func crash() {
    guard let machine else { return }
    machine.kernel.dropEverything()
    lose(machine, "the host \(name) has crashed")
  }

  /// Ends the process, of which the kernel closes what is open: so others hear of it. The host is up, and runs nothing.
  func endProcess(by signal: Signal) {
    guard let machine else { return }
    let kernel = machine.kernel
    kernel.closeEverything()
    lose(machine, "the process on \(name) was ended by \(signal)")
    do { try boot() } catch { misuse("SimulatedHost.raise: the system has no memory for a loop: \(error)") }
    self.machine?.kernel.inheritSocketFiles(of: kernel)
  }

  private func lose(_ machine: Machine, _ why: String) {
    world.remove(machine)
    machine.kernel.isDead = true
    crashed.append(machine)
    self.machine = nil
    pendingSignals.removeAll()
    isEnding = false
    let told = onCrash
    onCrash.removeAll()
    for callback in told { callback(SimulationError(.crashed, why)) }
  }

  /// Starts the host again after ``crash()``, with a fresh loop: nothing is left of what ran before, and who sends
  /// something on a connection from before is told that there is none.
  ///
  /// - Throws: `IOError` when the system has no memory for a loop.
  public func restart() throws {
    guard machine == nil else { return }
    try boot()
    network?.hostIsUp(self)
  }

  // MARK: What goes wrong

  /// Has the kernel refuse a system call, `times` times in a row, after `skip` more calls went through.
  public func refuse(_ call: KernelCall, with error: Errno, times: Int = 1, skipping skip: Int = 0) {
    refusals.add(call, error, times: times, skip: skip)
  }

  /// Takes back what the kernel was told to refuse and has not yet.
  public func refuseNothing() { refusals.removeAll() }

  // MARK: Addresses

  func has(_ address: SocketAddress) -> Bool {
    let address = address.withPort(0)
    return addresses.contains(address)
  }

  func address(of family: AddressFamily) -> SocketAddress? { addresses.first { $0.family == family } }

  func anyAddress(_ family: AddressFamily, _ port: UInt16) -> SocketAddress {
    SocketAddress(ip: family == .ipv4 ? "0.0.0.0" : "::", port: port) ?? .unnamed
  }

  func lookUpDelay() -> Int64 { network?.lookUpDelay() ?? 0 }

  /// Lets go of everything.
  func end() {
    for machine in crashed + [machine].compactMap(\.self) {
      world.remove(machine)
      machine.loop.close()
      machine.kernel.dropEverything()
    }
    crashed.removeAll()
    machine = nil
    onCrash.removeAll()
  }
}
