// SPDX-License-Identifier: Apache-2.0

/// The elements of several sequences in the order in which they come. Get it from ``EventLoop/merge(_:_:)``.
public struct Merged<Element>: AsyncSequence {
  /// Gives every element of a source to the closure, until the source ends.
  typealias Source = (_ give: (Element) async throws -> Void) async throws -> Void

  private let loop: EventLoop
  private let sources: [Source]

  init(_ loop: EventLoop, _ sources: [Source]) {
    self.loop = loop
    self.sources = sources
  }

  static func source<S: AsyncSequence>(_ sequence: S) -> Source where S.Element == Element {
    { give in for try await element in sequence { try await give(element) } }
  }

  /// Takes elements.
  ///
  /// When it is dropped the sources are cancelled, and an element that one has given and nobody has taken goes with it.
  public struct AsyncIterator: AsyncIteratorProtocol {
    private let run: MergeRun<Element>

    init(_ run: MergeRun<Element>) { self.run = run }

    /// Takes the next element of whichever source; nil when all have ended.
    ///
    /// - Throws: what a source throws, behind what came before it; `CancellationError`; ``EventLoopError`` `.closed`. Then all
    ///   sources were cancelled, and have ended.
    public mutating func next() async throws -> Element? { try await run.next() }

    /// Takes the next element of whichever source; nil when all have ended.
    ///
    /// - Throws: what a source throws, behind what came before it; `CancellationError`; ``EventLoopError`` `.closed`. Then all
    ///   sources were cancelled, and have ended.
    public mutating func next(isolation actor: (any Actor)?) async throws -> Element? {
      try await run.next()
    }
  }

  /// Iterates over the elements. The sources are first asked when the first element is.
  public func makeAsyncIterator() -> AsyncIterator { AsyncIterator(MergeRun(loop, sources)) }
}

/// The tasks that ask the sources, and the one that takes what they give.
final class MergeRun<Element> {
  /// What the sources' tasks have in common; it outlives whoever takes.
  private final class Sink {
    /// Elements from hand to hand, and the error of a source in its turn.
    let line: Queue<Result<Element, any Error>>
    /// How many sources have not ended.
    var left: Int
    /// An error that could not wait for its turn, since its task was cancelled.
    var lateError: (any Error)?

    init(_ loop: EventLoop, _ count: Int) {
      line = Queue(fromHandToHandOn: loop)
      left = count
    }

    func drain(_ source: Merged<Element>.Source) async {
      do {
        try await source { try await self.line.put(.success($0)) }
      } catch {
        do { try await line.put(.failure(error)) } catch { lateError = error }
      }
      left -= 1
      if left == 0 { line.shutdown() }
    }
  }

  private let loop: EventLoop
  private let sink: Sink
  /// Until they are asked.
  private var sources: [Merged<Element>.Source]
  private var tasks: [LoopTask<Void>] = []
  private var isOver: Bool

  init(_ loop: EventLoop, _ sources: [Merged<Element>.Source]) {
    self.loop = loop
    self.sources = sources
    sink = Sink(loop, sources.count)
    isOver = sources.isEmpty
  }

  deinit {
    if tasks.isEmpty { return }
    // The last reference may go wherever a task ends.
    let left = LoopBound(tasks)
    loop.taskExecutor.door.runOnLoop { for task in left.value { task.cancel() } }
  }

  func next() async throws -> Element? {
    try loop.checkOpen("merge")
    if isOver { return nil }
    let unasked = sources
    sources = []
    for source in unasked { tasks.append(loop.createTask(name: "merge") { [sink] in await sink.drain(source) }) }
    let outcome = await outcome()
    if case .success(.some) = outcome { return try outcome.get() }
    isOver = true
    if case .failure = outcome { await endSources() }
    tasks = []
    return try outcome.get()
  }

  /// What comes next; nil at the end. (The optimiser of Swift 6.3 fails on ``next()`` with this written out in it.)
  private func outcome() async -> Result<Element?, any Error> {
    do {
      if let element = try await sink.line.next("merge") { return element.map { $0 } }
      if let error = sink.lateError { return .failure(error) }
      return .success(nil)
    } catch {
      return .failure(error)
    }
  }

  private func endSources() async {
    for task in tasks { task.cancel() }
    for task in tasks { await task.waitRegardless() }
  }
}
