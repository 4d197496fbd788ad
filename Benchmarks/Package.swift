// swift-tools-version: 6.2
// SPDX-License-Identifier: Apache-2.0

import PackageDescription

let settings: [SwiftSetting] = [
  .enableUpcomingFeature("NonisolatedNonsendingByDefault"),
  .treatAllWarnings(as: .error),
]

let asyncIO = Target.Dependency.product(name: "AsyncIO", package: "swift-asyncio")
let argumentParser = Target.Dependency.product(name: "ArgumentParser", package: "swift-argument-parser")
let asyncIOTLS = Target.Dependency.product(name: "AsyncIOTLS", package: "swift-asyncio")
let nio: [Target.Dependency] = [
  .product(name: "NIOCore", package: "swift-nio"),
  .product(name: "NIOPosix", package: "swift-nio"),
]

let package = Package(
  name: "Benchmarks",
  platforms: [.macOS(.v26)],
  products: [
    .executable(name: "echo-load", targets: ["EchoLoad"]),
    .executable(name: "epoll-echo", targets: ["EpollEcho"]),
    .executable(name: "uv-echo", targets: ["UVEcho"]),
    .executable(name: "tls-load", targets: ["TLSLoad"]),
    .executable(name: "epoll-tls-echo", targets: ["EpollTLSEcho"]),
    .executable(name: "epoll-udp-echo", targets: ["EpollUDPEcho"]),
    .executable(name: "uv-udp-echo", targets: ["UVUDPEcho"]),
    .executable(name: "uv-timers", targets: ["UVTimers"]),
    .executable(name: "spawn-bench", targets: ["Spawn"]),
    .executable(name: "uv-spawn", targets: ["UVSpawn"]),
    .executable(name: "asyncio-echo", targets: ["AsyncIOEcho"]),
    .executable(name: "callsoon-bench", targets: ["CallSoon"]),
    .executable(name: "growth-bench", targets: ["Growth"]),
    .executable(name: "nio-echo", targets: ["NIOEcho"]),
    .executable(name: "nio-execute", targets: ["NIOExecute"]),
    .executable(name: "nio-http", targets: ["NIOHTTP"]),
  ],
  dependencies: [
    .package(name: "swift-asyncio", path: ".."),
    .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.0"),
    .package(url: "https://github.com/apple/swift-nio", from: "2.101.0"),
    .package(url: "https://github.com/apple/swift-nio-ssl", from: "2.37.0"),
  ],
  targets: [
    .systemLibrary(
      name: "CLibUV",
      pkgConfig: "libuv",
      providers: [.apt(["libuv1-dev"])]
    ),
    .systemLibrary(
      name: "CLibSSL",
      pkgConfig: "openssl",
      providers: [.apt(["libssl-dev"])]
    ),
    .executableTarget(name: "EchoLoad"),
    .executableTarget(name: "TLSLoad", dependencies: ["CLibSSL"]),
    .executableTarget(name: "EpollTLSEcho", dependencies: ["CLibSSL"]),
    .executableTarget(name: "EpollEcho"),
    .executableTarget(name: "UVEcho", dependencies: ["CLibUV"]),
    .executableTarget(name: "EpollUDPEcho"),
    .executableTarget(name: "UVUDPEcho", dependencies: ["CLibUV"]),
    .executableTarget(name: "UVTimers", dependencies: ["CLibUV"]),
    .executableTarget(name: "UVSpawn", dependencies: ["CLibUV"]),
    .target(name: "Measuring", swiftSettings: settings),
    .executableTarget(
      name: "AsyncIOEcho", dependencies: [asyncIO, asyncIOTLS, argumentParser], swiftSettings: settings),
    .executableTarget(name: "CallSoon", dependencies: [asyncIO, argumentParser, "Measuring"], swiftSettings: settings),
    .executableTarget(name: "Growth", dependencies: [asyncIO, argumentParser, "Measuring"], swiftSettings: settings),
    .executableTarget(name: "Spawn", dependencies: [asyncIO, argumentParser, "Measuring"], swiftSettings: settings),
    .executableTarget(
      name: "NIOEcho", dependencies: nio + [.product(name: "NIOSSL", package: "swift-nio-ssl"), argumentParser],
      swiftSettings: settings),
    .executableTarget(
      name: "NIOHTTP", dependencies: nio + [.product(name: "NIOHTTP1", package: "swift-nio"), argumentParser],
      swiftSettings: settings),
    .executableTarget(name: "NIOExecute", dependencies: nio + [argumentParser, "Measuring"], swiftSettings: settings),
  ],
  cLanguageStandard: .gnu11
)
