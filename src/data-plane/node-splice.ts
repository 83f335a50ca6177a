/**
 * Linux's `splice(2)`: the kernel moves what one socket has received into another, and no byte passes through this process's memory.
 * Reached like `sendfile(2)` (docs/adr/0006), through Node's foreign function interface; where that is missing, bytes are read and written as
 * everywhere else.
 *
 * S1: one pipe lies between, and nothing is left in it: what the other socket does not take at once is read from it and handed back.
 * S2: an error, and nothing to move, are both "nothing": the caller goes on by reading and writing, which waits and tells what is wrong.
 */
import { systemCalls } from "../core/system-calls.ts";

export interface Spliced {
  /** Bytes the other socket has taken. */
  readonly movedBytes: number;
  /** What came after them, and it did not take. */
  readonly rest: Uint8Array | undefined;
}

/** @param from a socket that nobody reads meanwhile @param bytesMax at most `SPLICE_BYTES_MAX` go at a time */
export type Splice = (from: number, to: number, bytesMax: number) => Spliced;

interface Functions {
  readonly pipe2: (ends: Int32Array, flags: number) => number;
  readonly fcntl: (descriptor: number, command: number, value: number) => number;
  readonly read: (descriptor: number, into: Uint8Array, count: bigint) => bigint;
  /** Offsets are null pointers: a socket and a pipe have none. */
  readonly splice: (from: number, fromOffset: bigint, to: number, toOffset: bigint, count: bigint, flags: number) => bigint;
}

const SPLICE_BYTES_MAX = 256 * 1024;
const O_NONBLOCK = 0o4000;
const O_CLOEXEC = 0o2000000;
const F_SETPIPE_SZ = 1031;
const SPLICE_F_MOVE = 1;
const SPLICE_F_NONBLOCK = 2;
const NOTHING: Spliced = { movedBytes: 0, rest: undefined };

/** Made when it is first wanted, for it keeps two descriptors. */
let loaded: { readonly splice: Splice | undefined } | undefined;

export function splice(): Splice | undefined {
  loaded ??= { splice: load() };
  return loaded.splice;
}

function load(): Splice | undefined {
  if (process.platform !== "linux") return undefined;
  const ends = new Int32Array(2);
  let native: Functions;
  try {
    native = systemCalls<Functions>({
      pipe2: { return: "i32", arguments: ["buffer", "i32"] },
      fcntl: { return: "i32", arguments: ["i32", "i32", "i32"] },
      read: { return: "i64", arguments: ["i32", "buffer", "u64"] },
      splice: { return: "i64", arguments: ["i32", "u64", "i32", "u64", "u64", "u32"] },
    });
    if (native.pipe2(ends, O_NONBLOCK | O_CLOEXEC) !== 0) return undefined;
  } catch {
    return undefined;
  }
  const [exit, entrance] = ends as unknown as [number, number];
  const capacity = native.fcntl(entrance, F_SETPIPE_SZ, SPLICE_BYTES_MAX);
  const most = capacity > 0 ? Math.min(capacity, SPLICE_BYTES_MAX) : 64 * 1024;
  const move = (from: number, to: number, count: number): number =>
    Math.max(0, Number(native.splice(from, 0n, to, 0n, BigInt(count), SPLICE_F_MOVE | SPLICE_F_NONBLOCK)));
  return (from, to, bytesMax) => {
    const takenBytes = move(from, entrance, Math.min(most, bytesMax));
    if (takenBytes === 0) return NOTHING;
    let movedBytes = 0;
    while (movedBytes < takenBytes) {
      const count = move(exit, to, takenBytes - movedBytes);
      if (count === 0) return { movedBytes, rest: emptied(native, exit, takenBytes - movedBytes) };
      movedBytes += count;
    }
    return { movedBytes, rest: undefined };
  };
}

/** S1 */
function emptied(native: Functions, exit: number, restBytes: number): Uint8Array {
  const rest = Buffer.allocUnsafeSlow(restBytes);
  for (let offset = 0; offset < restBytes; ) {
    const count = Number(native.read(exit, rest.subarray(offset), BigInt(restBytes - offset)));
    if (count <= 0) throw new Error(`the pipe gave ${offset} of its ${restBytes} bytes`);
    offset += count;
  }
  return rest;
}
