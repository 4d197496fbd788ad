// SPDX-License-Identifier: Apache-2.0

/// Memory that the transports of one loop use in turns, each for the length of a call.
final class TransportMemory {
  /// Where arriving bytes land on their way to a protocol, one read at a time.
  let readBuffer = ReadBuffer(capacity: EventLoop.readLimit)
  /// Where bytes land that nobody will look at.
  lazy var discardedBytes = [UInt8](repeating: 0, count: TLSStage.recordLimit)
  /// Encrypted bytes on their way to the kernel, and plaintext on its way to be encrypted; empty between uses.
  var outgoingCiphertext: [UInt8] = []
  var gatheredPlaintext: [UInt8] = []
  /// Where arriving datagrams land, one batch at a time.
  lazy var packetBatch = DatagramBatch.ofPackets()
  lazy var messageBatch = DatagramBatch.ofMessages()
  /// Those that have ended.
  let endings = Endings()
}

extension EventLoop {
  /// The memory that its transports share.
  var transportMemory: TransportMemory { attachment { TransportMemory() } }
}
