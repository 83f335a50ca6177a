/**
 * Bytes on their way out, pulled block by block. An iterator may also name what comes next as a region of an open file, so that an
 * adapter that can hands the file to the socket and no byte passes through this process's memory.
 */

/** Part of an open file. Valid until the iterator is pulled, skipped or ended. */
export interface FileRegion {
  /** The operating system's descriptor. */
  readonly descriptor: number;
  readonly offset: number;
  readonly lengthBytes: number;
}

export interface ByteIterator extends AsyncIterator<Uint8Array, undefined> {
  /** What comes next, when it is verified and very likely in memory: reading it would not wait for the disk. */
  region?(): FileRegion | undefined;
  /** So many bytes of the region have been taken. */
  skip?(countBytes: number): void;
  /**
   * Moves at most `bytesMax` bytes that are there into a socket that has nothing waiting, by its descriptor. @returns how many it took; 0 when
   * there are none now, and the next ones have to be pulled
   */
  pour?(descriptor: number, bytesMax: number): number;
}

/** Any `AsyncIterable<Uint8Array>` is one. */
export interface ByteStream extends AsyncIterable<Uint8Array, undefined> {
  [Symbol.asyncIterator](): ByteIterator;
}
