/** The bytes of files in the world: drawn from a seed when they are needed, so that anybody can say what a file must hold. */
import type { FileDigestAlgorithm } from "../../../src/core/digest.ts";
import { streamHash } from "../../../src/store/stream-hash.ts";
import { randomBlocks } from "../../support/random-file.ts";

/** Bytes of all contents together that are kept for the next who asks. */
const KEPT_BYTES_MAX = 48 * 1024 ** 2;

export class Content {
  /** The same for the same bytes: `7.70000`, of several joined `7.70000+9.12`. */
  readonly label: string;
  readonly sizeBytes: number;
  readonly #make: () => Buffer;
  readonly #digests = new Map<FileDigestAlgorithm, string>();

  private constructor(label: string, sizeBytes: number, make: () => Buffer) {
    this.label = label;
    this.sizeBytes = sizeBytes;
    this.#make = make;
  }

  /** Two seeds share no leaf; two sizes of one seed share their beginning. */
  static of(seed: number, sizeBytes: number): Content {
    return new Content(`${seed}.${sizeBytes}`, sizeBytes, () => Buffer.concat([...randomBlocks(seed, 0, sizeBytes)]));
  }

  static joined(parts: readonly Content[]): Content {
    const label = parts.map((part) => part.label).join("+");
    const sizeBytes = parts.reduce((sum, part) => sum + part.sizeBytes, 0);
    return new Content(label, sizeBytes, () => Buffer.concat(parts.map((part) => part.bytes())));
  }

  /** All of it; not to be written to. */
  bytes(): Buffer {
    const known = kept.get(this.label);
    if (known !== undefined) return known;
    const bytes = this.#make();
    keep(this.label, bytes);
    return bytes;
  }

  /** The part of it that is there. @param end exclusive */
  span(offset: number, end: number): Buffer {
    return this.bytes().subarray(offset, end);
  }

  /** Hex. */
  digest(algorithm: FileDigestAlgorithm): string {
    let digest = this.#digests.get(algorithm);
    if (digest === undefined) {
      const hash = streamHash(algorithm);
      hash.update(this.bytes());
      digest = hash.digestHex();
      this.#digests.set(algorithm, digest);
    }
    return digest;
  }

  get blake3(): string {
    return this.digest("blake3");
  }
}

const kept = new Map<string, Buffer>();
let keptBytes = 0;

function keep(label: string, bytes: Buffer): void {
  for (const [oldest, old] of kept) {
    if (keptBytes + bytes.length <= KEPT_BYTES_MAX) break;
    kept.delete(oldest);
    keptBytes -= old.length;
  }
  kept.set(label, bytes);
  keptBytes += bytes.length;
}
