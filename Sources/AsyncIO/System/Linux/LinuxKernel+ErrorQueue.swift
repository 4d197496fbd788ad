// SPDX-License-Identifier: Apache-2.0
#if os(Linux)
  import CAsyncIO
  import Glibc
  package import SystemPackage

  extension LinuxKernel {
    package func takeQueuedErrors(_ descriptor: FileDescriptor) -> [QueuedError] {
      // Other families take the flag for none, and would hand out what has arrived.
      let family = (try? option(descriptor, level: SOL_SOCKET, name: SO_DOMAIN)).map(AddressFamily.init)
      guard family == .ipv4 || family == .ipv6 else { return [] }
      var errors: [QueuedError] = []
      // A bound, since others may add to it faster than it is emptied: what is left is reported once more.
      for _ in 0..<LinuxKernel.errorLimit {
        var code: Int32 = 0
        let destination: SocketAddress?
        do throws(Errno) {
          destination = try unsafe SocketAddress { (address, length) throws(Errno) in
            _ = try systemCall { unsafe casyncio_take_error(descriptor.rawValue, &code, address, length) }
          }
        } catch {
          break
        }
        // Others tell of times, or of memory that may be used again: nothing that failed.
        if code != 0 { errors.append(QueuedError(code: Errno(rawValue: code), destination: destination)) }
      }
      return errors
    }

    private static let errorLimit = 256
  }
#endif
