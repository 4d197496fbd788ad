// SPDX-License-Identifier: Apache-2.0

/// The connections of a server that have not ended, in the order in which they came. Each knows its place.
final class ConnectionTable {
  private static let keptPlaces = 64

  /// Nil where a connection has ended.
  private var places: [StreamTransport?] = []
  private(set) var count = 0
  /// Called once there is none; see ``onceEmpty(_:)``.
  private var onEmpty: (() -> Void)?

  var isEmpty: Bool { count == 0 }

  /// All of them. What is done to all is done in the order in which they came, so that it is the same in each run.
  var all: [StreamTransport] { places.compactMap(\.self) }

  func insert(_ transport: StreamTransport) {
    transport.connections = self
    transport.place = Int32(places.count)
    places.append(transport)
    count += 1
  }

  func remove(_ transport: StreamTransport) {
    places[Int(transport.place)] = nil
    count -= 1
    // Not before half of the places are void, so that a connection pays for few moves; and the memory of a flood is not kept.
    if places.count > ConnectionTable.keptPlaces, count <= places.count / 2 { closeUp() }
    if isEmpty { onEmpty?() }
  }

  /// Calls the closure as soon as there is no connection, and whenever the last has ended again.
  func onceEmpty(_ closure: @escaping () -> Void) {
    onEmpty = closure
    if isEmpty { closure() }
  }

  private func closeUp() {
    places = all
    for (place, transport) in places.enumerated() { transport?.place = Int32(place) }
  }
}
