// SPDX-License-Identifier: Apache-2.0
import AsyncIO
import Glibc

/// The date of answers, and the answers themselves: both change once a second, and are made anew no more often.
final class HTTPDate {
  private let loop: EventLoop
  private var validUntil: EventLoop.Clock.Instant
  private var text = ""
  private var answers: [Bool: [UInt8]] = [:]

  init(_ loop: EventLoop) {
    self.loop = loop
    validUntil = loop.time
  }

  /// Such as "Sun, 06 Nov 1994 08:49:37 GMT".
  var now: String {
    renew()
    return text
  }

  /// The whole answer; to a HEAD request without its text.
  func answer(to request: RequestHead) -> [UInt8] {
    renew()
    if let answer = answers[request.isHead] { return answer }
    let body = "hello, world\n"
    let head = """
      HTTP/1.1 200 OK\r
      Date: \(text)\r
      Content-Type: text/plain; charset=utf-8\r
      Content-Length: \(body.utf8.count)\r
      \r

      """
    let answer = Array((request.isHead ? head : head + body).utf8)
    answers[request.isHead] = answer
    return answer
  }

  private func renew() {
    guard loop.time >= validUntil else { return }
    var seconds = time(nil)
    var parts = tm()
    gmtime_r(&seconds, &parts)
    var buffer = [CChar](repeating: 0, count: 64)
    strftime(&buffer, buffer.count, "%a, %d %b %Y %H:%M:%S GMT", &parts)
    text = buffer.withUnsafeBufferPointer { String(cString: $0.baseAddress!) }
    answers.removeAll()
    validUntil = loop.time.advanced(by: .milliseconds(100))
  }
}

/// Prints at once, also into a pipe.
func say(_ text: String) {
  print(text)
  fflush(nil)
}
