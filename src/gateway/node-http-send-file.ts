/**
 * Linux's `sendfile(2)`: the kernel moves a region of a file into a socket, and no byte passes through this process. Reached through
 * Node's foreign function interface, which is experimental: where it, or the system call, is missing, there is none and bytes are read and
 * written as everywhere else. Measured beside nginx in `bench/BENCHMARKS.md`.
 *
 * F1: a socket that takes nothing, and any error, is 0: the caller goes on by reading and writing, which waits for the socket and tells
 *     what is wrong with the file.
 */
import type { Socket } from "node:net";
import type { FileRegion } from "../core/ports/byte-stream.ts";
import { systemCalls } from "../core/system-calls.ts";

/** @returns how many bytes the socket took at once, 0 for none */
export type SendFile = (socket: Socket, region: FileRegion) => number;

type NativeSendFile = (socket: number, file: number, offset: BigInt64Array, count: bigint) => bigint;

export const sendFile: SendFile | undefined = load();

function load(): SendFile | undefined {
  if (process.platform !== "linux") return undefined;
  let native: NativeSendFile;
  try {
    const calls = systemCalls<{ readonly sendfile: NativeSendFile }>({
      sendfile: { return: "i64", arguments: ["i32", "i32", "buffer", "u64"] },
    });
    native = calls.sendfile;
    // A call that must fail and do nothing: the interface has the form that is expected.
    if (native(-1, -1, new BigInt64Array(1), 1n) !== -1n) return undefined;
  } catch {
    return undefined;
  }
  const offset = new BigInt64Array(1);
  return (socket, region) => {
    const descriptor = descriptorOf(socket);
    if (descriptor === undefined) return 0;
    offset[0] = BigInt(region.offset);
    const count = Number(native(descriptor, region.descriptor, offset, BigInt(region.lengthBytes)));
    return count > 0 ? count : 0;
  };
}

/** Of a plain TCP socket: what an encrypted one sends is not the file's bytes. */
export function descriptorOf(socket: Socket): number | undefined {
  if ("encrypted" in socket) return undefined;
  const { _handle: handle } = socket as unknown as { readonly _handle?: { readonly fd?: number } | null };
  return handle?.fd !== undefined && handle.fd >= 0 ? handle.fd : undefined;
}
