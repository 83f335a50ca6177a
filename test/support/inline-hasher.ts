/**
 * A Hasher without threads, for simulations: it follows files through the Disk port, a block at a time, so that a scheduler that
 * drives the disk drives the hashing too.
 */
import assert from "node:assert/strict";
import type { DigestAlgorithm } from "../../src/core/digest.ts";
import { TroupeError } from "../../src/core/errors.ts";
import type { Disk, DiskFile } from "../../src/core/ports/disk.ts";
import type { Digests, FileFollower, Hasher, StreamHash } from "../../src/core/ports/hasher.ts";
import { leafDigest, streamHash, withBlake3 } from "../../src/store/stream-hash.ts";

const BLOCK_BYTES = 256 * 1024;

export class InlineHasher implements Hasher {
  readonly #disk: Pick<Disk, "open">;
  readonly #followers = new Set<InlineFollower>();

  constructor(disk: Pick<Disk, "open">) {
    this.#disk = disk;
  }

  leafDigest(leaf: Uint8Array): Uint8Array {
    return leafDigest(leaf);
  }

  stream(algorithm: DigestAlgorithm): StreamHash {
    return streamHash(algorithm);
  }

  follow(path: string, algorithms: readonly DigestAlgorithm[]): FileFollower {
    const follower = new InlineFollower(this.#disk, path, withBlake3(algorithms), () => this.#followers.delete(follower));
    this.#followers.add(follower);
    return follower;
  }

  async close(): Promise<void> {
    await Promise.all([...this.#followers].map((follower) => follower.close()));
  }
}

class InlineFollower implements FileFollower {
  readonly #disk: Pick<Disk, "open">;
  readonly #path: string;
  readonly #hashes: readonly (readonly [DigestAlgorithm, StreamHash])[];
  readonly #gone: () => void;
  #hashedBytes = 0;
  #finalBytes = 0;
  #closed = false;
  #finishCalled = false;
  #failure: unknown;
  /** The catching up under way. */
  #running: Promise<void> | undefined;

  constructor(disk: Pick<Disk, "open">, path: string, algorithms: readonly DigestAlgorithm[], gone: () => void) {
    this.#disk = disk;
    this.#path = path;
    this.#hashes = algorithms.map((algorithm) => [algorithm, streamHash(algorithm)]);
    this.#gone = gone;
  }

  advance(offset: number): void {
    assert(offset >= this.#finalBytes, "offsets never shrink");
    assert(!this.#finishCalled, "a file does not grow once it is finished");
    this.#finalBytes = offset;
    this.#run();
  }

  async finish(sizeBytes: number): Promise<Digests> {
    assert(!this.#finishCalled, "a file is finished once");
    assert(sizeBytes >= this.#finalBytes, "a file has at least the bytes that were final");
    this.#finishCalled = true;
    this.#finalBytes = sizeBytes;
    this.#run();
    while (this.#running !== undefined) await this.#running;
    if (this.#failure !== undefined) throw this.#failure;
    if (this.#closed) throw new TroupeError("CANCELLED", "The file was given up before it was hashed.");
    this.#gone();
    return Object.fromEntries(this.#hashes.map(([algorithm, hash]) => [algorithm, hash.digestHex()]));
  }

  async close(): Promise<void> {
    this.#closed = true;
    this.#gone();
    await this.#running;
  }

  #run(): void {
    if (this.#running !== undefined || this.#closed || this.#failure !== undefined || this.#hashedBytes === this.#finalBytes) return;
    this.#running = this.#catchUp().then(
      () => this.#ended(),
      (error: unknown) => {
        this.#failure = error;
        this.#ended();
      },
    );
  }

  #ended(): void {
    this.#running = undefined;
    // What became final after the last look.
    this.#run();
  }

  async #catchUp(): Promise<void> {
    const file = await this.#disk.open(this.#path, "read");
    try {
      while (!this.#closed && this.#hashedBytes < this.#finalBytes) await this.#hashBlock(file);
    } finally {
      await file.close();
    }
  }

  async #hashBlock(file: DiskFile): Promise<void> {
    const block = new Uint8Array(Math.min(BLOCK_BYTES, this.#finalBytes - this.#hashedBytes));
    const readBytes = await file.read(block, this.#hashedBytes);
    if (readBytes === 0) {
      throw new TroupeError("DISK_FAILED", `${this.#path} ends at ${this.#hashedBytes}, before ${this.#finalBytes}.`, {
        facts: { syscall: "read", errno: "EOF" },
      });
    }
    for (const [, hash] of this.#hashes) hash.update(block.subarray(0, readBytes));
    this.#hashedBytes += readBytes;
  }
}
