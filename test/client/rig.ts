/** A client before a gateway in memory, with a real disk, and a directory that is removed afterwards. */
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { TroupeClient } from "../../src/client/troupe-client.ts";
import { TroupeError } from "../../src/core/errors.ts";
import { BlakeHasher } from "../../src/store/blake-hasher.ts";
import { NodeDisk } from "../../src/store/node-disk.ts";
import { SeededRandom } from "../support/seeded-random.ts";
import { temporaryDirectory } from "../support/temporary-directory.ts";
import { MemoryGateway } from "./memory-gateway.ts";
import { QuickClock } from "./quick-clock.ts";

export async function clientRig() {
  const directory = await temporaryDirectory();
  const gateway = new MemoryGateway();
  const clock = new QuickClock();
  const random = new SeededRandom(1);
  const disk = new NodeDisk();
  const hasher = new BlakeHasher();
  const client = new TroupeClient({ http: gateway, clock, gateway: MemoryGateway.url });
  return {
    gateway,
    clock,
    disk,
    client,
    ports: { clock, random, disk, hasher },
    path: (name: string) => join(directory.path, name),
    /** A file of bytes that do not repeat. */
    async file(name: string, sizeBytes: number): Promise<{ path: string; bytes: Buffer }> {
      const bytes = Buffer.from(new SeededRandom(sizeBytes).bytes(sizeBytes));
      const path = join(directory.path, name);
      await writeFile(path, bytes);
      return { path, bytes };
    },
    async [Symbol.asyncDispose]() {
      await hasher.close();
      await directory[Symbol.asyncDispose]();
    },
  };
}

/** The error a promise rejects with. */
export async function failureOf(promise: Promise<unknown>): Promise<TroupeError> {
  const outcome = await promise.then(
    () => undefined,
    (error: unknown) => error,
  );
  if (outcome instanceof TroupeError) return outcome;
  throw new Error("it did not fail as it should have", { cause: outcome });
}
