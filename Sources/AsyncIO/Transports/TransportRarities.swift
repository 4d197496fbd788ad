// SPDX-License-Identifier: Apache-2.0

/// What few transports have, or only for a while: apart, so that an idle connection pays for no more than a reference.
final class TransportRarities {
  /// A socket's own address, once somebody has asked.
  var localAddress: SocketAddress?
  /// The socket, where the program may have it as well; that closes it then.
  var socket: Socket?
  /// The claim to what the program gave us, where another descriptor is watched for that.
  var originalClaim: DescriptorClaim?
  /// How much may wait to be sent, where the program has said so.
  var marks = WaterMarks.standard
  /// What the kernel has not taken yet; nil while that is nothing.
  var backlog: Backlog?
  /// Runs out when something has taken too long, or is to be tried again: one thing at a time. Nil while there is none.
  var timer: TimerHandle?
  /// See ``StreamTransport``.
  var fileTransfer: FileTransfer?
  var brokenSending: (any Error)?
}

/// What waits to be sent.
final class Backlog {
  var bytes = WriteBuffer()
}

/// A file that is being sent.
final class FileTransfer {
  /// The task that sends it, while it waits for the kernel to take more.
  var waiter: Waiter?
}
