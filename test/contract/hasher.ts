/** What every Hasher keeps: run on the one with worker threads and on the one in this thread. */
import { createHash } from "node:crypto";
import { join } from "node:path";
import { createBLAKE3 } from "hash-wasm";
import { describe, expect, it } from "vitest";
import type { DigestAlgorithm } from "../../src/core/digest.ts";
import { writeFully } from "../../src/core/durable.ts";
import { LEAF_BYTES, LEAF_DIGEST_BYTES } from "../../src/core/limits.ts";
import type { Disk } from "../../src/core/ports/disk.ts";
import type { Hasher } from "../../src/core/ports/hasher.ts";
import { NodeDisk } from "../../src/store/node-disk.ts";
import { SeededRandom } from "../support/seeded-random.ts";
import { temporaryDirectory } from "../support/temporary-directory.ts";

const MIB = 1024 * 1024;

/** Bytes that differ everywhere and are quick to make. */
export function bytesOf(seed: number, sizeBytes: number): Uint8Array {
  const block = new SeededRandom(seed).bytes(4096 + 61);
  const bytes = new Uint8Array(sizeBytes);
  for (let offset = 0; offset < sizeBytes; offset += block.length)
    bytes.set(block.subarray(0, Math.min(block.length, sizeBytes - offset)), offset);
  return bytes;
}

/** BLAKE3 by another implementation than the one under test. */
export async function otherBlake3(bytes: Uint8Array): Promise<string> {
  return (await createBLAKE3()).update(bytes).digest("hex");
}

export interface HasherUnderTest {
  readonly hasher: Hasher;
  /** Where the files are that it hashes, if not on the real disk. */
  readonly disk?: Disk;
}

/** Writes below one directory of a disk. */
class Directory {
  readonly #disk: Disk;
  readonly #path: string;

  constructor(disk: Disk, path: string) {
    this.#disk = disk;
    this.#path = path;
  }

  at(name: string): string {
    return join(this.#path, name);
  }

  /** Into a file that is made when it is missing. */
  async write(name: string, bytes: Uint8Array, offset = 0): Promise<void> {
    const isThere = (await this.#disk.status(this.at(name))) !== undefined;
    const file = await this.#disk.open(this.at(name), isThere ? "write" : "create");
    await writeFully(file, bytes, offset);
    await file.close();
  }

  async remove(name: string): Promise<void> {
    await this.#disk.remove(this.at(name));
  }
}

export function describeHasher(name: string, open: () => HasherUnderTest): void {
  describe(`${name} as a hasher`, () => {
    const claim = (title: string, check: (hasher: Hasher, files: Directory) => Promise<void>): void =>
      it(title, async () => {
        await using directory = await temporaryDirectory();
        const { hasher, disk = new NodeDisk() } = open();
        try {
          await disk.makeDirectory(directory.path);
          await check(hasher, new Directory(disk, directory.path));
        } finally {
          await hasher.close();
        }
      });

    claim("BLAKE3 gives the published vectors", async (hasher) => {
      // The official test inputs repeat the bytes 0 to 250.
      const input = (sizeBytes: number): Uint8Array => Uint8Array.from({ length: sizeBytes }, (_, index) => index % 251);
      const vectors: readonly (readonly [number, string])[] = [
        [0, "af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262"],
        [1, "2d3adedff11b61f14c886e35afa036736dcd87a74d27b5c1510225d0f592e213"],
        [1024, "42214739f095a406f3fc83deb889744ac00df831c10daa55189b5d121c855af7"],
      ];
      for (const [sizeBytes, digest] of vectors) {
        const stream = hasher.stream("blake3");
        stream.update(input(sizeBytes));
        expect(stream.digestHex()).toBe(digest);
        expect(Buffer.from(hasher.leafDigest(input(sizeBytes))).toString("hex")).toBe(digest.slice(0, LEAF_DIGEST_BYTES * 2));
      }
    });

    claim("a leaf's digest is the first 16 bytes of its BLAKE3, also of a view into a larger buffer", async (hasher) => {
      for (const sizeBytes of [1, 1023, 1025, LEAF_BYTES - 1, LEAF_BYTES]) {
        const large = bytesOf(sizeBytes, sizeBytes + 10);
        const leaf = large.subarray(7, 7 + sizeBytes);
        const digest = hasher.leafDigest(leaf);
        expect(digest.length).toBe(LEAF_DIGEST_BYTES);
        expect(Buffer.from(digest).toString("hex")).toBe((await otherBlake3(leaf)).slice(0, 32));
      }
    });

    claim("streams give what other implementations give, however the bytes are cut", async (hasher) => {
      const bytes = bytesOf(7, 300_000);
      for (const algorithm of ["sha256", "sha512", "sha1", "md5"] as const) {
        const stream = hasher.stream(algorithm);
        for (let offset = 0; offset < bytes.length; offset += 7_777) stream.update(bytes.subarray(offset, offset + 7_777));
        expect(stream.digestHex()).toBe(createHash(algorithm).update(bytes).digest("hex"));
      }
      const stream = hasher.stream("blake3");
      for (let offset = 0; offset < bytes.length; offset += 65_537) stream.update(bytes.subarray(offset, offset + 65_537));
      expect(stream.digestHex()).toBe(await otherBlake3(bytes));
    });

    claim("a file followed as it grows has the digests of its bytes", async (hasher, files) => {
      const bytes = bytesOf(1, 5 * MIB + 12_345);
      const follower = hasher.follow(files.at("a"), ["sha256", "md5"]);
      const chunkBytes = MIB + 4096;
      for (let offset = 0; offset < bytes.length; offset += chunkBytes) {
        const end = Math.min(bytes.length, offset + chunkBytes);
        await files.write("a", bytes.subarray(offset, end), offset);
        follower.advance(end);
        follower.advance(end);
      }
      const digests = await follower.finish(bytes.length);
      expect(digests).toEqual({
        blake3: await otherBlake3(bytes),
        sha256: createHash("sha256").update(bytes).digest("hex"),
        md5: createHash("md5").update(bytes).digest("hex"),
      });
      await follower.close();
    });

    claim("finish alone hashes the whole file, and BLAKE3 need not be asked for", async (hasher, files) => {
      const bytes = bytesOf(2, 2 * MIB + 1);
      await files.write("a", bytes);
      const digests = await hasher.follow(files.at("a"), []).finish(bytes.length);
      expect(digests).toEqual({ blake3: await otherBlake3(bytes) });
    });

    claim("only the bytes asked for count, not what lies behind them", async (hasher, files) => {
      const bytes = bytesOf(3, 3 * MIB);
      await files.write("a", bytes);
      const follower = hasher.follow(files.at("a"), ["blake3"]);
      follower.advance(MIB);
      expect(await follower.finish(2 * MIB + 5)).toEqual({ blake3: await otherBlake3(bytes.subarray(0, 2 * MIB + 5)) });
    });

    claim("bytes are not read before they are final", async (hasher, files) => {
      const bytes = bytesOf(4, 2 * MIB);
      await files.write("a", new Uint8Array(2 * MIB).fill(0xff));
      const follower = hasher.follow(files.at("a"), ["blake3"]);
      await files.write("a", bytes.subarray(0, MIB));
      follower.advance(MIB);
      await files.write("a", bytes.subarray(MIB), MIB);
      expect(await follower.finish(bytes.length)).toEqual({ blake3: await otherBlake3(bytes) });
    });

    claim("an empty file needs no file", async (hasher, files) => {
      expect(await hasher.follow(files.at("missing"), ["sha1"]).finish(0)).toEqual({
        blake3: await otherBlake3(new Uint8Array(0)),
        sha1: createHash("sha1").digest("hex"),
      });
    });

    claim("many followers at once each get their own digests", async (hasher, files) => {
      const algorithms: DigestAlgorithm[] = ["sha1"];
      await Promise.all(
        Array.from({ length: 60 }, async (_, index) => {
          const bytes = bytesOf(index, 50_000 * (index % 7) + index);
          const name = `file ${index}`;
          const follower = hasher.follow(files.at(name), algorithms);
          await files.write(name, bytes);
          follower.advance(Math.floor(bytes.length / 2));
          expect(await follower.finish(bytes.length)).toEqual({
            blake3: await otherBlake3(bytes),
            sha1: createHash("sha1").update(bytes).digest("hex"),
          });
          await follower.close();
        }),
      );
    });

    claim("a file that is not there, or is too short, is a disk failure", async (hasher, files) => {
      await expect(hasher.follow(files.at("missing"), []).finish(10)).rejects.toMatchObject({
        code: "DISK_FAILED",
        facts: { errno: "ENOENT" },
      });
      await files.write("short", new Uint8Array(100));
      await expect(hasher.follow(files.at("short"), []).finish(101)).rejects.toMatchObject({
        code: "DISK_FAILED",
        facts: { errno: "EOF" },
      });
    });

    claim("a failure while following is told by finish", async (hasher, files) => {
      const follower = hasher.follow(files.at("missing"), []);
      follower.advance(10);
      // Another file's digest: by then the first failure is known.
      await files.write("other", new Uint8Array(10));
      await hasher.follow(files.at("other"), []).finish(10);
      await expect(follower.finish(20)).rejects.toMatchObject({ code: "DISK_FAILED", facts: { errno: "ENOENT" } });
      await follower.close();
    });

    claim("a follower that is closed mid-way rejects its finish, and the file can go", async (hasher, files) => {
      await files.write("large", bytesOf(5, 24 * MIB));
      const follower = hasher.follow(files.at("large"), ["sha256", "sha512", "md5"]);
      follower.advance(20 * MIB);
      const finished = follower.finish(24 * MIB).then(
        () => "finished",
        (error: { code?: string }) => error.code,
      );
      await follower.close();
      await follower.close();
      await files.remove("large");
      expect(await finished).toBe("CANCELLED");
    });

    claim("closing a follower that was never used, or has finished, is fine", async (hasher, files) => {
      const unused = hasher.follow(files.at("a"), []);
      await unused.close();
      await expect(unused.finish(0)).rejects.toMatchObject({ code: "CANCELLED" });
      const finished = hasher.follow(files.at("b"), []);
      await finished.finish(0);
      await finished.close();
    });

    claim("a shrinking offset and a second finish are programmer's errors", async (hasher, files) => {
      await files.write("a", new Uint8Array(100));
      const follower = hasher.follow(files.at("a"), []);
      follower.advance(50);
      expect(() => follower.advance(49)).toThrow();
      await follower.finish(100);
      await expect(follower.finish(100)).rejects.toThrow();
      expect(() => follower.advance(100)).toThrow();
    });
  });
}
