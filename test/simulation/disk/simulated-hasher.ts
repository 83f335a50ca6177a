/** The Hasher port in the world: digests are what they are, and take the time that hashing takes. */
import type { DigestAlgorithm } from "../../../src/core/digest.ts";
import type { Disk, DiskFile, OpenMode } from "../../../src/core/ports/disk.ts";
import type { FileFollower, Hasher, StreamHash } from "../../../src/core/ports/hasher.ts";
import { InlineHasher } from "../../support/inline-hasher.ts";
import type { ActiveFaults } from "../active-faults.ts";
import type { RandomStream } from "../random-streams.ts";
import type { SimulatedProcess } from "../simulated-process.ts";

/** 1 GB a second: a worker's BLAKE3 beside another digest. */
const BYTES_A_MS = 1_000_000;

export class SimulatedHasher implements Hasher {
  readonly #inner: InlineHasher;

  /** @param faults of the machine: `hasher.slow` hits blocks */
  constructor(process: SimulatedProcess, disk: Disk, faults?: ActiveFaults) {
    this.#inner = new InlineHasher(pacedReads(process, disk, faults));
  }

  leafDigest(leaf: Uint8Array): Uint8Array {
    return this.#inner.leafDigest(leaf);
  }

  stream(algorithm: DigestAlgorithm): StreamHash {
    return this.#inner.stream(algorithm);
  }

  follow(path: string, algorithms: readonly DigestAlgorithm[]): FileFollower {
    return this.#inner.follow(path, algorithms);
  }

  close(): Promise<void> {
    return this.#inner.close();
  }
}

/** A disk whose reads take the time of hashing besides. */
function pacedReads(process: SimulatedProcess, disk: Disk, faults: ActiveFaults | undefined): Pick<Disk, "open"> {
  const random = process.world.random.stream(`${process.name}#${process.life}`, "hashing");
  return {
    open: async (path: string, mode: OpenMode): Promise<DiskFile> => {
      const file = await disk.open(path, mode);
      return {
        path,
        read: async (into, offset) => {
          const count = await file.read(into, offset);
          await process.ask(delayOf(count, random, faults), "hashes", () => undefined);
          return count;
        },
        write: (bytes, offset) => file.write(bytes, offset),
        sync: () => file.sync(),
        truncate: (sizeBytes) => file.truncate(sizeBytes),
        sizeBytes: () => file.sizeBytes(),
        close: () => file.close(),
      };
    },
  };
}

function delayOf(bytes: number, random: RandomStream, faults: ActiveFaults | undefined): number {
  const usualMs = random.between(0.01, 0.05) + bytes / BYTES_A_MS;
  if (faults === undefined || !faults.hits("hasher.slow")) return usualMs;
  return usualMs + faults.stream("hasher.slow").between(0, Number(faults.of("hasher.slow")?.with["delayMsMax"]));
}
