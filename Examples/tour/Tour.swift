// SPDX-License-Identifier: Apache-2.0
// Shows what the library does, on real sockets and timers. A new capability adds its step to one of the chapters.
import AsyncIO
import AsyncIOProcessPool
import Glibc

@main
struct Tour {
  static let chapters = [
    Chapter(title: "Callbacks and timers", steps: callbackSteps),
    Chapter(title: "Tasks", steps: taskSteps),
    Chapter(title: "Tasks that belong together", steps: structureSteps),
    Chapter(title: "Tasks that wait for one another", steps: coordinationSteps),
    Chapter(title: "TCP", steps: connectionSteps),
    Chapter(title: "TLS", steps: tlsSteps),
    Chapter(title: "Datagrams", steps: datagramSteps),
    Chapter(title: "Pipes", steps: pipeSteps),
    Chapter(title: "Child processes", steps: processSteps),
    Chapter(title: "Threads and processes", steps: executorSteps),
    Chapter(title: "When things end", steps: endingSteps),
    Chapter(title: "Tests, in virtual time and on a simulated network", steps: testingSteps),
  ]

  /// The argument that makes it another program, which a step runs.
  static let waitingProgram = "wait-to-be-ended"

  static func main() throws {
    // In a worker process of the tour's own pool this does not return.
    ProcessPoolExecutor.serveIfWorker(Triangle.self)
    if CommandLine.arguments.dropFirst() == [waitingProgram] { waitToBeEnded() }
    let report = Report()
    let failures = try EventLoop.run { loop in
      report.title("A tour of AsyncIO: one loop, one thread, real sockets and timers")
      let start = loop.time
      var failures = 0
      for chapter in chapters {
        report.chapter(chapter.title)
        for step in chapter.steps {
          report.begin(step.name)
          do {
            let (outcome, duration) = try await step.run(on: loop)
            report.end(outcome, duration)
          } catch {
            failures += 1
            report.fail(error)
          }
        }
      }
      report.chapter("How fast, with both ends in this one loop and thread")
      for rate in rates {
        do {
          report.rate(rate.name, try await rate.measure(loop), rate.unit)
        } catch {
          failures += 1
          report.begin(rate.name)
          report.fail(error)
        }
      }
      report.summary(steps: chapters.reduce(0) { $0 + $1.steps.count }, failures, start.duration(to: loop.time))
      return failures
    }
    if failures > 0 { exit(1) }
  }
}
