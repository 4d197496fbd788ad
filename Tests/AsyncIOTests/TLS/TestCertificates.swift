// SPDX-License-Identifier: Apache-2.0
import AsyncIO
import AsyncIOTLS
import Foundation
import Synchronization

/// Certificates for tests, made once in a process by the `openssl` command.
final class TestCertificates: Sendable {
  static let shared = Result { try TestCertificates() }

  let folder: String

  private init() throws {
    folder = "/tmp/asyncio-certificates-" + UUID().uuidString.prefix(8)
    try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: false)
    let process = Process()
    process.executableURL = URL(filePath: "/usr/bin/env")
    process.arguments = ["sh", "-c", TestCertificates.script]
    process.currentDirectoryURL = URL(filePath: folder)
    let output = Pipe()
    process.standardOutput = output
    process.standardError = output
    try process.run()
    let text = String(decoding: output.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
    process.waitUntilExit()
    if process.terminationStatus != 0 { throw ScriptFailed(output: text) }
    // There is no later moment that a test could remove it at.
    removeAtExit(folder)
  }

  struct ScriptFailed: Error { let output: String }

  static func path(_ name: String) throws -> String { try shared.get().folder + "/" + name }

  static func text(_ name: String) throws -> String {
    try String(contentsOfFile: path(name), encoding: .utf8)
  }

  static func bytes(_ name: String) throws -> [UInt8] {
    [UInt8](try Data(contentsOf: URL(filePath: path(name))))
  }

  /// The identity of that name.
  static func identity(_ name: String) throws -> TLSIdentity {
    TLSIdentity(certificate: .file(try path(name + ".pem")), key: .file(try path(name + ".key")))
  }

  private static let script = """
    set -e
    key() { openssl ecparam -name prime256v1 -genkey -noout -out $1.key; }
    root() {
      key $1
      openssl req -x509 -new -key $1.key -out $1.pem -days 30 -subj "/CN=$2" \
        -addext basicConstraints=critical,CA:TRUE -addext keyUsage=critical,keyCertSign
    }
    # name, subject, extensions, authority, more arguments
    leaf() {
      name=$1; ca=$4
      key $name
      openssl req -new -key $name.key -out $name.csr -subj "$2"
      printf "basicConstraints=CA:FALSE\\n$3\\n" > $name.ext
      shift 4
      openssl x509 -req -in $name.csr -CA $ca.pem -CAkey $ca.key -CAcreateserial -extfile $name.ext \
        -out $name.pem "$@"
    }
    san=subjectAltName=DNS:localhost,DNS:*.example.test,IP:127.0.0.1,IP:::1
    root ca "Test root"
    root stranger "Another root"
    leaf server "/CN=localhost/O=Server" "$san\\nextendedKeyUsage=serverAuth" ca -days 30
    leaf expired "/CN=localhost" "$san" ca -days -1
    leaf elsewhere "/CN=elsewhere.test" "subjectAltName=DNS:elsewhere.test,DNS:www.elsewhere.test,IP:192.0.2.1" \
      ca -days 30
    leaf unnamed "/CN=elsewhere.test" "nsComment=none" ca -days 30
    leaf misused "/CN=localhost" "$san\\nextendedKeyUsage=clientAuth" ca -days 30
    leaf foreign "/CN=localhost" "$san" stranger -days 30
    leaf client "/CN=a client" "extendedKeyUsage=clientAuth" ca -days 30
    leaf strange "/CN=a stranger" "extendedKeyUsage=clientAuth" stranger -days 30
    leaf second "/CN=second.test" "subjectAltName=DNS:second.test" ca -days 30
    leaf hostile "/CN=hostile" "subjectAltName=DNS:red\\033[31m\\010\\007.test,DNS:$(printf 'a%.0s' $(seq 2000))" ca -days 30
    key self
    openssl req -x509 -new -key self.key -out self.pem -days 30 -subj "/CN=localhost" -addext "$san"
    openssl pkcs8 -topk8 -in server.key -out encrypted.key -passout pass:open-sesame
    openssl pkcs8 -topk8 -in server.key -out encrypted.der -outform DER -passout pass:open-sesame
    openssl pkey -in server.key -out server.key.der -outform DER
    openssl x509 -in server.pem -out server.der -outform DER
    cat server.pem server.key > both.pem
    """
}

/// Removes the folder when the process ends.
private func removeAtExit(_ folder: String) {
  TestCertificateFolders.path.withLock { $0 = folder }
  atexit { TestCertificateFolders.path.withLock { try? FileManager.default.removeItem(atPath: $0) } }
}

private enum TestCertificateFolders {
  static let path = Mutex("")
}
