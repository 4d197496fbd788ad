// swift-tools-version: 6.2
// SPDX-License-Identifier: Apache-2.0

import PackageDescription

let package = Package(
    name: "Benchmarks",
    products: [
        .executable(name: "echo-load", targets: ["EchoLoad"]),
        .executable(name: "epoll-echo", targets: ["EpollEcho"]),
        .executable(name: "uv-echo", targets: ["UVEcho"]),
        .executable(name: "uv-timers", targets: ["UVTimers"]),
    ],
    dependencies: [
    ],
    targets: [
        .systemLibrary(
            name: "CLibUV",
            pkgConfig: "libuv",
            providers: [.apt(["libuv1-dev"])]
        ),
        .executableTarget(name: "EchoLoad"),
        .executableTarget(name: "EpollEcho"),
        .executableTarget(name: "UVEcho", dependencies: ["CLibUV"]),
        .executableTarget(name: "UVTimers", dependencies: ["CLibUV"]),
    ],
    cLanguageStandard: .gnu11
)
