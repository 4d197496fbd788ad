// SPDX-License-Identifier: Apache-2.0
import AsyncIO
import Foundation

/// One walk over a site. Its tasks share it as it is: they take turns on one thread.
final class Crawl {
  /// A page that was fetched, or given up.
  struct Visit {
    let url: URL
    /// How many redirections have led there, one after the other.
    let redirections: Int
    let tries: Int
    let result: Result<Response, any Error>
  }

  private let loop: EventLoop
  private let site: URL
  private let tasks: Int
  private let limit: Duration
  private let retries: Int
  private let most: Int
  private let start: EventLoop.Clock.Instant
  /// More in a row lead nowhere.
  private let mostRedirections = 10
  /// Every page that was met, so that each is fetched once: circles end here, be they of links or of redirections.
  private var met: Set<URL> = []
  private var begun = 0
  private var found = 0
  private var failed = 0
  private var bytes = 0

  init(loop: EventLoop, site: URL, tasks: Int, limit: Duration, retries: Int, most: Int) {
    self.loop = loop
    self.site = site
    self.tasks = tasks
    self.limit = limit
    self.retries = retries
    self.most = most
    start = loop.time
  }

  /// Returns when no page is left.
  func run() async throws {
    try await loop.withLoopTaskGroup(of: Visit.self, maxConcurrent: tasks) { [self] group in
      visit(site, in: group)
      // The group's results come as its tasks end, and the sequence ends when there are no more tasks.
      for try await visit in group {
        report(visit)
        guard case .success(let response) = visit.result else { continue }
        let redirections = response.location == nil ? 0 : visit.redirections + 1
        for url in response.links(from: visit.url) { self.visit(url, after: redirections, in: group) }
      }
    }
  }

  func summarize() {
    let seconds = (start.duration(to: loop.time) / .milliseconds(100)).rounded() / 10
    print("\(found) pages, \(failed) failed, \(bytes) bytes in \(seconds) s")
    if met.count > begun { print("left out: \(met.count - begun)") }
  }

  /// Has a page fetched that is of this site and new.
  private func visit(_ url: URL, after redirections: Int = 0, in group: LoopTaskGroup<Visit>) {
    guard url.scheme == "http", url.host() == site.host(), url.webPort == site.webPort else { return }
    guard met.insert(url).inserted, begun < most, redirections <= mostRedirections else { return }
    begun += 1
    group.createTask(name: url.path()) { [self] in try await fetch(url, after: redirections) }
  }

  /// Fetches a page, again and again if need be.
  private func fetch(_ url: URL, after redirections: Int) async throws -> Visit {
    var pause = Duration.milliseconds(100)
    var tries = 1
    while true {
      let result = try await fetchOnce(url)
      guard result.isTransient, tries <= retries else {
        return Visit(url: url, redirections: redirections, tries: tries, result: result)
      }
      tries += 1
      try await loop.sleep(for: pause)
      pause = pause * 2
    }
  }

  /// - Throws: `CancellationError` alone, which is no failure of the page's.
  private func fetchOnce(_ url: URL) async throws -> Result<Response, any Error> {
    do {
      return .success(try await loop.withTimeout(limit) { [loop] in try await get(url, on: loop) })
    } catch let error as CancellationError {
      throw error
    } catch is TimeoutError {
      return .failure(TooSlow(limit: limit))
    } catch {
      return .failure(error)
    }
  }

  private func report(_ visit: Visit) {
    let tries = visit.tries > 1 ? ", tried \(visit.tries) times" : ""
    switch visit.result {
    case .success(let response) where response.status < 400:
      found += 1
      bytes += response.body.count
      print("\(response.status) \(visit.url.target) \(response.body.count) bytes\(tries)")
    case .success(let response):
      failed += 1
      print("\(response.status) \(visit.url.target)\(tries)")
    case .failure(let error):
      failed += 1
      print("--- \(visit.url.target): \(error)\(tries)")
    }
    fflush(nil)
  }
}

extension Result<Response, any Error> {
  /// Whether another attempt may have another outcome.
  var isTransient: Bool {
    switch self {
    case .success(let response): response.isTransient
    case .failure(let error): !(error is BadResponse)
    }
  }
}

struct TooSlow: Error, CustomStringConvertible {
  let limit: Duration

  var description: String { "it took more than \(limit)" }
}

extension URL {
  /// The port that it names or means.
  var webPort: Int { port ?? 80 }

  /// What stands behind host and port, as a request has it.
  var target: String {
    let path = path(percentEncoded: true)
    return (path.isEmpty ? "/" : path) + (query(percentEncoded: true).map { "?\($0)" } ?? "")
  }
}
