// SPDX-License-Identifier: Apache-2.0
import Foundation

extension URL {
  /// The page that it leads to, written in one way: the place in the page is left out, and a site's own page is `/`.
  var page: URL? {
    guard var parts = URLComponents(url: absoluteURL, resolvingAgainstBaseURL: false) else { return nil }
    parts.fragment = nil
    if parts.path.isEmpty { parts.path = "/" }
    return parts.url
  }
}

extension Response {
  /// Where it leads: the target of a redirection, or the links in a page.
  func links(from base: URL) -> [URL] {
    let targets = location.map { [$0] } ?? (isHTML && status == 200 ? hrefs : [])
    return targets.compactMap { URL(string: $0, relativeTo: base)?.page }
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
