// SPDX-License-Identifier: Apache-2.0

extension EventLoop {
  /// The elements of two sequences in the order in which they come. asyncio has none; async-algorithms' `merge`, for
  /// sequences that need not be `Sendable`.
  ///
  /// Each source has a task of the loop, and is not asked for its next element before its last one was taken. When one throws,
  /// or whoever takes is cancelled, all are cancelled. It ends when all have.
  ///
  /// - Returns: a sequence, which asks the sources when its first element is asked for.
  public func merge<A: AsyncSequence, B: AsyncSequence>(_ a: A, _ b: B) -> Merged<A.Element>
  where B.Element == A.Element {
    checkThread("merge")
    return Merged(self, [Merged.source(a), Merged.source(b)])
  }

  /// The elements of three sequences in the order in which they come.
  public func merge<A: AsyncSequence, B: AsyncSequence, C: AsyncSequence>(
    _ a: A, _ b: B, _ c: C
  ) -> Merged<A.Element> where B.Element == A.Element, C.Element == A.Element {
    checkThread("merge")
    return Merged(self, [Merged.source(a), Merged.source(b), Merged.source(c)])
  }

  /// The elements of four sequences in the order in which they come.
  public func merge<A: AsyncSequence, B: AsyncSequence, C: AsyncSequence, D: AsyncSequence>(
    _ a: A, _ b: B, _ c: C, _ d: D
  ) -> Merged<A.Element> where B.Element == A.Element, C.Element == A.Element, D.Element == A.Element {
    checkThread("merge")
    return Merged(self, [Merged.source(a), Merged.source(b), Merged.source(c), Merged.source(d)])
  }

  /// The elements of any number of sequences of one type in the order in which they come.
  ///
  /// - Parameter sources: the sequences; with none it ends at once.
  public func merge<Source: AsyncSequence>(_ sources: [Source]) -> Merged<Source.Element> {
    checkThread("merge")
    return Merged(self, sources.map { Merged<Source.Element>.source($0) })
  }
}
