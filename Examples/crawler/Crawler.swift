// SPDX-License-Identifier: Apache-2.0
import ArgumentParser
import AsyncIO
import Foundation

/// Follows the links of a site.
@main
struct Crawler: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "crawler", abstract: "Follows the links of a site, and says which pages there are.")

  @Argument(help: "Where to begin, such as http://localhost:8000/. No link leads away from this host and port.")
  var start: String
  @Option(help: "How many pages are fetched at a time.")
  var tasks = 8
  @Option(help: "How long a page may take, in seconds.")
  var limit = 10.0
  @Option(help: "How often a page is tried again that could not be fetched.")
  var retries = 2
  @Option(help: "How many pages are fetched at the most.")
  var pages = 1000

  func validate() throws {
    guard tasks > 0, limit > 0, retries >= 0, pages > 0 else { throw ValidationError("a number is too small") }
    guard let url = URL(string: start), url.scheme == "http", url.host() != nil else {
      throw ValidationError("'\(start)' is no address of the form http://HOST:PORT/PATH")
    }
  }

  func run() throws {
    guard let url = URL(string: start)?.page else { return }
    try EventLoop.run { loop in
      let crawl = Crawl(
        loop: loop, site: url, tasks: tasks, limit: .seconds(limit), retries: retries, most: pages)
      // Also when Ctrl-C ends it.
      defer { crawl.summarize() }
      try await crawl.run()
    }
  }
}
