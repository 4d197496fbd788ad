// SPDX-License-Identifier: Apache-2.0
public import SystemPackage

/// A system call that a simulated kernel can be told to refuse.
public enum KernelCall: String, CaseIterable, Hashable, Sendable {
  /// Making a socket.
  case socket
  /// Making two sockets that are connected to each other.
  case socketPair
  /// Giving a socket an address.
  case bind
  /// Beginning to listen.
  case listen
  /// Beginning to connect.
  case connect
  /// Taking a connection from a listening socket.
  case accept
  /// Ending the sending side of a connection.
  case shutdown
  /// Receiving from a stream.
  case receive
  /// Sending to a stream.
  case send
  /// Receiving datagrams.
  case receiveDatagram
  /// Sending a datagram.
  case sendDatagram
  /// Reading an option.
  case option
  /// Setting an option.
  case setOption
  /// Having the poller watch a descriptor.
  case watch
  /// Asking the poller.
  case wait
  /// Making a pipe.
  case pipe

  /// What it may be refused with although nothing is wrong with the program or the network: for a lack of something. In
  /// faults that are drawn from a seed each of them occurs.
  public var refusals: [Errno] {
    switch self {
    case .socket, .socketPair, .pipe: [.tooManyOpenFiles, .tooManyOpenFilesInSystem, .noBufferSpace, .noMemory]
    case .accept:
      [
        .tooManyOpenFiles, .tooManyOpenFilesInSystem, .noBufferSpace, .noMemory, .connectionAbort, .permissionDenied,
        .wouldBlock,
      ]
    case .bind: [.addressInUse, .noMemory]
    case .listen: [.addressInUse]
    case .connect: [.addressNotAvailable, .noMemory, .noBufferSpace]
    case .receive, .receiveDatagram: [.wouldBlock, .noMemory, .noBufferSpace]
    case .send: [.wouldBlock, .noMemory, .noBufferSpace]
    case .sendDatagram: [.wouldBlock, .noBufferSpace, .noMemory, .notPermitted]
    case .watch: [.noMemory, .noSpace]
    case .setOption: [.noMemory]
    case .shutdown, .option, .wait: []
    }
  }
}
