// swift-tools-version: 6.2
// SPDX-License-Identifier: Apache-2.0
import PackageDescription

let settings: [SwiftSetting] = [
  .enableUpcomingFeature("ExistentialAny"),
  .enableUpcomingFeature("InferIsolatedConformances"),
  .enableUpcomingFeature("InternalImportsByDefault"),
  .enableUpcomingFeature("MemberImportVisibility"),
  .enableUpcomingFeature("NonisolatedNonsendingByDefault"),
  .strictMemorySafety(),
  .treatAllWarnings(as: .error),
]

let testSettings: [SwiftSetting] = [
  .enableUpcomingFeature("ExistentialAny"),
  .enableUpcomingFeature("NonisolatedNonsendingByDefault"),
  .treatAllWarnings(as: .error),
]

extension Target {
  /// A small program, with the settings that a user's has: the language's defaults, and async functions that stay with
  /// their caller.
  static func example(
    _ name: String, argumentParser: Bool = false, processPool: Bool = false, testing: Bool = false, tls: Bool = false
  ) -> Target {
    .executableTarget(
      name: name,
      dependencies: ["AsyncIO"]
        + (argumentParser ? [.product(name: "ArgumentParser", package: "swift-argument-parser")] : [])
        + (processPool ? ["AsyncIOProcessPool"] : [])
        + (testing ? ["AsyncIOTesting"] : [])
        + (tls ? ["AsyncIOTLS"] : []),
      path: "Examples/\(name)",
      swiftSettings: [.enableUpcomingFeature("NonisolatedNonsendingByDefault"), .treatAllWarnings(as: .error)])
  }
}

let package = Package(
  name: "swift-asyncio",
  platforms: [.macOS(.v26)],
  products: [
    .library(name: "AsyncIO", targets: ["AsyncIO"]),
    .library(name: "AsyncIOTLS", targets: ["AsyncIOTLS"]),
    .library(name: "AsyncIOProcessPool", targets: ["AsyncIOProcessPool"]),
    .library(name: "AsyncIOTesting", targets: ["AsyncIOTesting"]),
  ],
  dependencies: [
    .package(url: "https://github.com/apple/swift-system", from: "1.8.0"),
    .package(url: "https://github.com/apple/swift-log", from: "1.16.0"),
    .package(url: "https://github.com/apple/swift-collections", from: "1.6.0"),
    .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.0"),
    .package(url: "https://github.com/swiftlang/swift-docc-plugin", from: "1.4.0"),
  ],
  targets: [
    .target(name: "CAsyncIO"),
    .target(
      name: "AsyncIO",
      dependencies: [
        "CAsyncIO",
        .product(name: "SystemPackage", package: "swift-system"),
        .product(name: "Logging", package: "swift-log"),
        .product(name: "BasicContainers", package: "swift-collections"),
        .product(name: "DequeModule", package: "swift-collections"),
        .product(name: "HeapModule", package: "swift-collections"),
      ],
      swiftSettings: settings),
    .systemLibrary(
      name: "COpenSSL", pkgConfig: "openssl", providers: [.apt(["libssl-dev"]), .brew(["openssl@3"])]),
    .target(
      name: "AsyncIOTLS",
      dependencies: ["AsyncIO", "COpenSSL", .product(name: "SystemPackage", package: "swift-system")],
      swiftSettings: settings),
    .target(
      name: "AsyncIOProcessPool",
      dependencies: ["AsyncIO", .product(name: "DequeModule", package: "swift-collections")],
      swiftSettings: settings),
    .target(name: "CAsyncIOTesting"),
    .target(
      name: "AsyncIOTesting",
      dependencies: [
        "AsyncIO",
        "CAsyncIOTesting",
        .product(name: "SystemPackage", package: "swift-system"),
        .product(name: "DequeModule", package: "swift-collections"),
        .product(name: "HeapModule", package: "swift-collections"),
      ],
      swiftSettings: settings),
    // Programs and modules that tests run, or are compiled with.
    .executableTarget(
      name: "cost-probe", dependencies: ["AsyncIO"], path: "Tests/Fixtures/CostProbe",
      swiftSettings: [.enableUpcomingFeature("NonisolatedNonsendingByDefault"), .treatAllWarnings(as: .error)]),
    .executableTarget(
      name: "MainThreadProbe", dependencies: ["AsyncIO", "MainActorModule"], path: "Tests/Fixtures/MainThreadProbe",
      swiftSettings: testSettings),
    .target(
      name: "MainActorModule", dependencies: ["AsyncIO"], path: "Tests/Fixtures/MainActorModule",
      swiftSettings: testSettings + [.defaultIsolation(MainActor.self)]),
    .target(
      name: "PoolJobs", dependencies: ["AsyncIOProcessPool"], path: "Tests/Fixtures/PoolJobs",
      swiftSettings: testSettings),
    .target(
      name: "SimulationFixtures", dependencies: ["AsyncIO", "AsyncIOTLS", "AsyncIOTesting"],
      path: "Tests/Fixtures/SimulationFixtures", swiftSettings: testSettings),
    .executableTarget(
      name: "simulate", dependencies: ["AsyncIO", "AsyncIOTesting", "SimulationFixtures"],
      path: "Tests/Fixtures/Simulate", swiftSettings: testSettings),
    .executableTarget(
      name: "PoolProbe", dependencies: ["AsyncIO", "AsyncIOProcessPool", "PoolJobs"], path: "Tests/Fixtures/PoolProbe",
      swiftSettings: testSettings),
    .testTarget(
      name: "AsyncIOTests",
      dependencies: [
        "AsyncIO",
        "AsyncIOTLS",
        "AsyncIOProcessPool",
        "AsyncIOTesting",
        "COpenSSL",
        "PoolJobs",
        "PoolProbe",
        "MainThreadProbe",
        "graceful-restart",
        .product(name: "DequeModule", package: "swift-collections"),
        .product(name: "Logging", package: "swift-log"),
        .product(name: "SystemPackage", package: "swift-system"),
      ],
      resources: [.copy("Fixtures")],
      swiftSettings: testSettings),
    .testTarget(
      name: "AsyncIOTestingTests",
      dependencies: [
        "AsyncIO",
        "AsyncIOTesting",
        "AsyncIOTLS",
        "SimulationFixtures",
        // Their servers run in simulations, as they are.
        "echo-server",
        "port-forwarder",
        "graceful-server",
        "http-server",
        .product(name: "SystemPackage", package: "swift-system"),
      ],
      swiftSettings: testSettings),
    .example("hello-world"),
    .example("http-server"),
    .example("display-date"),
    .example("watch-descriptor"),
    .example("echo-server", argumentParser: true, tls: true),
    .example("https-client", argumentParser: true, tls: true),
    .example("udp-echo-server"),
    .example("udp-echo-client"),
    .example("shared-port"),
    .example("graceful-restart"),
    .example("shell-pipeline"),
    .example("signal-handlers"),
    .example("cpu-bound", processPool: true),
    .example("supervisor"),
    .example("port-forwarder"),
    .example("worker-pool"),
    .example("crawler", argumentParser: true),
    .example("graceful-server"),
    .example("virtual-time", testing: true),
    .example("chat-under-partitions", testing: true),
    .example("lost-wake-up", testing: true),
    .example("tour", processPool: true, testing: true, tls: true),
  ]
)
