/**
 * `Upload-Checksum: <algorithm> <value in Base64>` of one request's body. It is computed here, as the body passes: a body may go over several
 * chunks, and none of them counts before the last byte has been seen.
 */
import { createHash } from "node:crypto";
import { crc32 } from "node:zlib";
import { TroupeError } from "../../core/errors.ts";
import type { HttpRequest } from "../../core/ports/http-exchange.ts";

interface RunningDigest {
  update(bytes: Uint8Array): void;
  digest(): Buffer;
}

const BYTES = { sha1: 20, md5: 16, sha256: 32, crc32: 4 } as const;
type ChecksumAlgorithm = keyof typeof BYTES;
export const CHECKSUM_ALGORITHMS = Object.keys(BYTES) as readonly ChecksumAlgorithm[];

export class BodyChecksum {
  readonly #algorithm: ChecksumAlgorithm;
  readonly #claimed: Buffer;
  readonly #running: RunningDigest;

  constructor(algorithm: ChecksumAlgorithm, claimed: Buffer) {
    this.#algorithm = algorithm;
    this.#claimed = claimed;
    this.#running = algorithm === "crc32" ? new Crc32() : createHash(algorithm);
  }

  /** The same bytes, seen. It can be ended while it waits for some, which a generator cannot. */
  over(body: AsyncIterable<Uint8Array>): AsyncIterable<Uint8Array> {
    const iterator = body[Symbol.asyncIterator]();
    return {
      [Symbol.asyncIterator]: () => ({
        next: async () => {
          const result = await iterator.next();
          if (result.done !== true) this.#running.update(result.value);
          return result;
        },
        return: async () => {
          await iterator.return?.();
          return { done: true, value: undefined };
        },
      }),
    };
  }

  /** Once, at the body's end. @throws {TroupeError} `CHECKSUM_MISMATCH` */
  check(): void {
    const actual = this.#running.digest();
    if (actual.equals(this.#claimed)) return;
    // A body whose checksum is another one is thrown away, and answered 460.
    throw new TroupeError(
      "CHECKSUM_MISMATCH",
      `The body was to have ${this.#algorithm} ${this.#claimed.toString("base64")} and has ${actual.toString("base64")}; nothing of it counts.`,
    );
  }
}

/** @throws {TroupeError} `BAD_DIGEST`: an algorithm that is not offered here, or no value of it, is answered 400 */
export function readChecksum(request: HttpRequest): BodyChecksum | undefined {
  const field = request.headers["upload-checksum"];
  if (field === undefined) return undefined;
  const [, name = "", base64 = ""] = /^(\S+) ([A-Za-z0-9+/]+={0,2})$/.exec(field) ?? [];
  const algorithm = CHECKSUM_ALGORITHMS.find((known) => known === name);
  if (algorithm === undefined)
    throw new TroupeError(
      "BAD_DIGEST",
      `Upload-Checksum is an algorithm (${CHECKSUM_ALGORITHMS.join(", ")}), a space, and its value in Base64.`,
    );
  const claimed = Buffer.from(base64, "base64");
  if (claimed.length !== BYTES[algorithm]) throw new TroupeError("BAD_DIGEST", `A value of ${algorithm} has ${BYTES[algorithm]} bytes.`);
  return new BodyChecksum(algorithm, claimed);
}

/** Its four bytes stand in network order. */
class Crc32 implements RunningDigest {
  #value = 0;

  update(bytes: Uint8Array): void {
    this.#value = crc32(bytes, this.#value);
  }

  digest(): Buffer {
    const bytes = Buffer.alloc(BYTES.crc32);
    bytes.writeUInt32BE(this.#value);
    return bytes;
  }
}
