// SPDX-License-Identifier: Apache-2.0
import Foundation

extension Response {
  /// Where it leads: the target of a redirection, or the links in a page.
  func links(from base: URL) -> [URL] {
    let targets = location.map { [$0] } ?? (isHTML && status == 200 ? hrefs : [])
    return targets.compactMap { target in
      guard let url = URL(string: target, relativeTo: base)?.absoluteURL,
        var parts = URLComponents(url: url, resolvingAgainstBaseURL: false)
      else { return nil }
      // A place in a page is no page of its own.
      parts.fragment = nil
      if parts.path.isEmpty { parts.path = "/" }
      return parts.url
    }
  }

  /// What follows `href=` in quotes: no parser of HTML, and good enough for most of it.
  private var hrefs: [String] {
    var found: [String] = []
    var rest = body[...]
    while let equals = rest.firstIndex(of: UInt8(ascii: "=")) {
      let name = String(decoding: rest[..<equals].suffix(4), as: UTF8.self)
      rest = rest[(equals + 1)...]
      guard name.lowercased() == "href", let quote = rest.first else { continue }
      guard quote == UInt8(ascii: "\"") || quote == UInt8(ascii: "'") else { continue }
      rest = rest.dropFirst()
      guard let end = rest.firstIndex(of: quote) else { break }
      found.append(String(decoding: rest[..<end], as: UTF8.self).replacing("&amp;", with: "&"))
      rest = rest[(end + 1)...]
    }
    return found
  }
}
