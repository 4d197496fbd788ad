// SPDX-License-Identifier: Apache-2.0

/// A queue between tasks of a loop: those that put wait while it is full, those that get while it is empty. asyncio's `Queue`.
///
/// ```swift
/// let queue = Queue<Int>(loop, maxCount: 10)
/// loop.createTask {
///   for number in 1...100 { try await queue.put(number) }
///   queue.shutdown()
/// }
/// for try await number in queue { print(number) }
/// ```
///
/// It belongs to its loop's thread; ``remote`` is for other threads. Elements need not be `Sendable`. First in, first out;
/// see also ``PriorityQueue`` and ``LIFOQueue``.
///
/// Tasks are served strictly in the order in which they came, and an element belongs to one at a time: to the task that
/// puts it until it is in, to the queue, and to the task that gets it from the moment on at which it is given it, before that
/// runs. So no element is lost or doubled whenever a task is cancelled.
public class Queue<Element> {
  final let loop: EventLoop
  /// How many elements it may hold. Zero is for ``Merged``: each element goes from hand to hand.
  private final let capacity: Int
  private final var store: any QueueStore<Element>
  /// Tasks that wait for an element; while there are any the store is empty.
  private final let getting: TicketGate<Slot<Element>>
  /// Tasks that wait with an element; while there are any the store is full.
  private final let putting: TicketGate<Slot<Element>>
  /// Tasks that wait in ``join()``.
  private final let joining: Gate
  /// How many elements were put, and are not done yet.
  private final var unfinished = 0
  private final var wasShutDown = false

  /// Makes an empty queue.
  ///
  /// - Parameters:
  ///   - loop: its loop.
  ///   - maxCount: how many elements it holds before those that put have to wait, one or more; nil for any number. asyncio's
  ///     `maxsize`.
  public convenience init(_ loop: EventLoop, maxCount: Int? = nil) {
    self.init(loop, maxCount: maxCount, FIFOStore<Element>())
  }

  init(_ loop: EventLoop, maxCount: Int?, _ store: any QueueStore<Element>) {
    if let maxCount { require(maxCount > 0, "Queue.init: maxCount must be above zero; nil is for any number") }
    self.loop = loop
    capacity = maxCount ?? .max
    self.store = store
    getting = TicketGate(loop)
    putting = TicketGate(loop)
    joining = Gate(loop)
  }

  /// Makes a queue that holds nothing: an element that is put goes to who gets it, and that is when the put returns.
  init(fromHandToHandOn loop: EventLoop) {
    self.loop = loop
    capacity = 0
    store = FIFOStore<Element>()
    getting = TicketGate(loop)
    putting = TicketGate(loop)
    joining = Gate(loop)
  }

  // MARK: State

  /// How many elements are in it; those of tasks that wait to put one are not. asyncio's `qsize`.
  public final var count: Int {
    loop.checkThread("Queue.count")
    return store.count
  }

  /// How many elements it may hold; nil for any number. asyncio's `maxsize`.
  public final var maxCount: Int? { capacity == .max ? nil : capacity }

  /// Whether it holds no element. asyncio's `empty`.
  public final var isEmpty: Bool {
    loop.checkThread("Queue.isEmpty")
    return store.count == 0
  }

  /// Whether it holds as many elements as it may. asyncio's `full`.
  public final var isFull: Bool {
    loop.checkThread("Queue.isFull")
    return !hasRoom
  }

  /// Whether ``shutdown(immediate:)`` was called.
  public final var isShutDown: Bool {
    loop.checkThread("Queue.isShutDown")
    return wasShutDown
  }

  private final var hasRoom: Bool { store.count < capacity }

  // MARK: Putting

  /// Adds an element, and waits before while the queue is full. asyncio's `put`.
  ///
  /// - Throws: ``EventLoopError`` `.queueShutDown` when the queue was shut down, or is while the task waits.
  ///   `CancellationError` when the task is cancelled while it waits. Whenever it throws, the element is not in the queue; when
  ///   it returns, it is, or has been.
  public final func put(_ element: Element) async throws {
    loop.checkThread("Queue.put")
    if wasShutDown { throw Queue.shutDown("put") }
    if admit(element) { return }
    let slot = Slot(element)
    do {
      // Whoever wakes the task has taken the element out of the slot.
      try await putting.wait("Queue.put", slot) {
        if !wasShutDown, admit(element) { slot.content = nil }
        return wasShutDown || slot.content == nil
      }
    } catch {
      slot.content = nil
      throw error
    }
    if slot.content != nil { throw Queue.shutDown("put") }
  }

  /// Adds an element, if that needs no waiting. asyncio's `put_nowait`.
  ///
  /// - Returns: whether it did; false while the queue is full, and once it was shut down.
  public final func tryPut(_ element: Element) -> Bool {
    loop.checkThread("Queue.tryPut")
    return !wasShutDown && admit(element)
  }

  /// Gives the element to the task that has waited longest for one, or stores it.
  ///
  /// - Returns: false when there is no room for it.
  private final func admit(_ element: Element) -> Bool {
    // Whoever is woken has the element: there is no moment at which another could take it.
    if !getting.wakeFirst(giving: { $0.content = element }) {
      guard hasRoom else { return false }
      store.append(element)
    }
    unfinished += 1
    return true
  }

  // MARK: Getting

  /// Takes the next element, and waits for one while the queue is empty. asyncio's `get`.
  ///
  /// - Throws: ``EventLoopError`` `.queueShutDown` when the queue was shut down and is empty. `CancellationError` when the task
  ///   is cancelled before there was an element for it; once it was given one it returns that, and the cancellation is noticed
  ///   by what it awaits next. So whenever it throws, no element was taken.
  public final func get() async throws -> Element {
    guard let element = try await next("Queue.get") else { throw Queue.shutDown("get") }
    return element
  }

  /// Takes the next element, if there is one. asyncio's `get_nowait`.
  ///
  /// - Returns: the element; nil while the queue is empty.
  public final func tryGet() -> Element? {
    loop.checkThread("Queue.tryGet")
    return popNext()
  }

  /// The next element; nil when the queue was shut down and is empty.
  final func next(_ method: StaticString) async throws -> Element? {
    loop.checkThread(method)
    if let element = popNext() { return element }
    if wasShutDown { return nil }
    let slot = Slot<Element>()
    try await getting.wait(method, slot) {
      slot.content = popNext()
      return slot.content != nil || wasShutDown
    }
    return slot.content
  }

  private final func popNext() -> Element? {
    guard let element = store.popNext() else { return takeFromPutting() }
    if hasRoom, let late = takeFromPutting() { store.append(late) }
    return element
  }

  /// Takes the element of the task that has waited longest to put one. It is in from here on.
  private final func takeFromPutting() -> Element? {
    var element: Element?
    putting.wakeFirst { element = $0.take() }
    if element != nil { unfinished += 1 }
    return element
  }

  // MARK: Ending

  /// Says that the work on an element that was got is done. asyncio's `task_done`.
  ///
  /// Once more than elements were put is a programmer error.
  public final func taskDone() {
    loop.checkThread("Queue.taskDone")
    require(unfinished > 0, "Queue.taskDone: called more often than elements were put")
    noteDone(1)
  }

  /// Waits until the work on all elements is done, as ``taskDone()`` says. asyncio's `join`.
  ///
  /// - Throws: `CancellationError`, which changes nothing for others; ``EventLoopError`` `.closed`.
  public final func join() async throws {
    loop.checkThread("Queue.join")
    if unfinished == 0 { return }
    try await joining.wait("Queue.join") { unfinished == 0 }
  }

  private final func noteDone(_ count: Int) {
    unfinished -= count
    if unfinished == 0 { joining.wakeAll() }
  }

  /// Ends the queue: no more elements come in, and once it is empty getting ends. asyncio's `shutdown`.
  ///
  /// Tasks that wait to put an element keep it and get ``EventLoopError`` `.queueShutDown`, as do those that wait for one.
  ///
  /// - Parameter immediate: whether elements that are in the queue are dropped, and count as done.
  public final func shutdown(immediate: Bool = false) {
    loop.checkThread("Queue.shutdown")
    wasShutDown = true
    let dropped = immediate ? store.count : 0
    // Let go of at the end, since elements may call back when they go.
    let elements = store
    if dropped > 0 { store.removeAll() }
    putting.wakeAll(.failure(Queue.shutDown("put")))
    // They find nothing, which is the end.
    getting.wakeAll()
    // Some may have been called done before they were taken.
    if unfinished > 0 { noteDone(Swift.min(dropped, unfinished)) }
    withExtendedLifetime(elements) {}
  }

  private static func shutDown(_ method: String) -> EventLoopError {
    EventLoopError(.queueShutDown, "Queue.\(method): the queue was shut down")
  }
}

/// A queue whose least element comes first, equals in the order in which they were put. asyncio's `PriorityQueue`.
public final class PriorityQueue<Element: Comparable>: Queue<Element> {
  /// Makes an empty queue.
  ///
  /// - Parameters:
  ///   - loop: its loop.
  ///   - maxCount: how many elements it holds before those that put have to wait, one or more; nil for any number.
  public init(_ loop: EventLoop, maxCount: Int? = nil) {
    super.init(loop, maxCount: maxCount, PriorityStore<Element>())
  }
}

/// A queue whose element that was put last comes first. asyncio's `LifoQueue`.
public final class LIFOQueue<Element>: Queue<Element> {
  /// Makes an empty queue.
  ///
  /// - Parameters:
  ///   - loop: its loop.
  ///   - maxCount: how many elements it holds before those that put have to wait, one or more; nil for any number.
  public init(_ loop: EventLoop, maxCount: Int? = nil) {
    super.init(loop, maxCount: maxCount, LIFOStore<Element>())
  }
}

extension Queue: AsyncSequence {
  /// Takes elements. Several may, and then each element goes to one of them.
  public struct AsyncIterator: AsyncIteratorProtocol {
    let queue: Queue

    /// Takes the next element; nil when the queue was shut down and is empty.
    ///
    /// - Throws: `CancellationError`, and then no element was taken.
    public mutating func next() async throws -> Element? { try await queue.next("Queue.next") }

    /// Takes the next element; nil when the queue was shut down and is empty.
    ///
    /// - Throws: `CancellationError`, and then no element was taken.
    public mutating func next(isolation actor: (any Actor)?) async throws -> Element? { try await next() }
  }

  /// Iterates over the elements, which takes them, until the queue was shut down and is empty.
  public final func makeAsyncIterator() -> AsyncIterator { AsyncIterator(queue: self) }
}
