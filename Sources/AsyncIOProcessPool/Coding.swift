// SPDX-License-Identifier: Apache-2.0
import FoundationEssentials

/// What a worker says first.
struct Hello: Codable {
  /// Changes with the messages.
  static let version = 2

  var version = Hello.version
  /// The names of the jobs that it can do.
  var jobs: [String]
}

/// How values travel: as JSON, each in an array, since not every value can stand alone.
enum Coding {
  static func encode<Value: Encodable>(_ value: Value) throws -> [UInt8] {
    let encoder = JSONEncoder()
    encoder.nonConformingFloatEncodingStrategy = .convertToString(
      positiveInfinity: "inf", negativeInfinity: "-inf", nan: "nan")
    return Array(try encoder.encode([value]))
  }

  static func decode<Value: Decodable>(_ type: Value.Type, from bytes: some Collection<UInt8>) throws -> Value {
    let decoder = JSONDecoder()
    decoder.nonConformingFloatDecodingStrategy = .convertFromString(
      positiveInfinity: "inf", negativeInfinity: "-inf", nan: "nan")
    let values = try decoder.decode([Value].self, from: Data(bytes))
    guard values.count == 1 else {
      throw DecodingError.dataCorrupted(.init(codingPath: [], debugDescription: "\(values.count) values for one"))
    }
    return values[0]
  }
}
