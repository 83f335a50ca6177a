/**
 * Uploads this machine has begun and not finished, so that the same command run again goes on with them: one small file each in the
 * user's state directory.
 *
 * B1: a record is durable before the first chunk leaves, and is removed when its upload has become a file or has ended.
 * B2: a record is a hint. One that is damaged, of another version or of another file is as none; the server says what it has, and what
 *     it has is compared before anything is added.
 * B3: records are bounded in number and in age: who never comes back leaves nothing for good.
 * B4: two commands on one file share its upload; each removes only a record of the upload it knows.
 */
import { createHash } from "node:crypto";
import { join } from "node:path";
import { z } from "zod";
import { makeDurableDirectory, readSmallFile, replaceFile } from "../core/durable.ts";
import { BEGUN_UPLOAD_BYTES_MAX, BEGUN_UPLOADS_KEPT_MS, BEGUN_UPLOADS_MAX } from "../core/limits.ts";
import type { Clock } from "../core/ports/clock.ts";
import type { Disk } from "../core/ports/disk.ts";
import { bytes, identity } from "../core/shapes.ts";

const begunFile = z.object({
  /** Who was asked: an address without secrets. */
  gateway: z.string(),
  /** On whose behalf, as far as that is known here; never a secret. */
  owner: z.string(),
  app: z.string(),
  user: z.string(),
  name: z.string(),
  /** Absolute. */
  path: z.string(),
  sizeBytes: bytes,
  /** Milliseconds since 1970, with the fraction the file system has. */
  modifiedMs: z.number(),
});
/** What has to be the same for an upload to be gone on with. */
export type BegunFile = z.output<typeof begunFile>;

const VERSION = 1;
const record = z.object({ version: z.literal(VERSION), uploadId: identity, file: begunFile });
const RECORD_NAME = /^[0-9a-f]{40}\.json(\.new)?$/;

export class BegunUploads {
  readonly #disk: Disk;
  readonly #clock: Clock;
  readonly #directory: string;
  #isSwept = false;

  /** @param directory absolute; made when first needed */
  constructor(ports: { readonly disk: Disk; readonly clock: Clock }, directory: string) {
    this.#disk = ports.disk;
    this.#clock = ports.clock;
    this.#directory = directory;
  }

  /**
   * The upload that was begun with this file, if it may still be there.
   * @throws {TroupeError} `DISK_FAILED` when records cannot be read
   */
  async find(file: BegunFile): Promise<string | undefined> {
    const path = this.#pathOf(file);
    const status = await this.#disk.status(path);
    if (status === undefined || status.kind !== "file" || status.sizeBytes > BEGUN_UPLOAD_BYTES_MAX) return undefined;
    const text = await readSmallFile(this.#disk, path, BEGUN_UPLOAD_BYTES_MAX);
    const found = text === undefined ? undefined : read(text);
    return found !== undefined && keyOf(found.file) === keyOf(file) ? found.uploadId : undefined;
  }

  /** @throws {TroupeError} `DISK_FULL`, `DISK_FAILED` */
  async keep(file: BegunFile, uploadId: string): Promise<void> {
    await makeDurableDirectory(this.#disk, this.#directory);
    if (!this.#isSwept) await this.#sweep();
    this.#isSwept = true;
    const text = JSON.stringify({ version: VERSION, uploadId, file } satisfies z.input<typeof record>);
    await replaceFile(this.#disk, this.#pathOf(file), Buffer.from(`${text}\n`));
  }

  /** @throws {TroupeError} `DISK_FAILED` */
  async forget(file: BegunFile, uploadId: string): Promise<void> {
    if ((await this.find(file)) === uploadId) await this.#disk.remove(this.#pathOf(file));
  }

  /** B3. */
  async #sweep(): Promise<void> {
    const kept: { readonly path: string; readonly modifiedMs: number }[] = [];
    for (const { name } of await this.#disk.readDirectory(this.#directory)) {
      // Whatever else somebody keeps here is not ours to remove.
      if (!RECORD_NAME.test(name)) continue;
      const path = join(this.#directory, name);
      const modifiedMs = (await this.#disk.status(path))?.modifiedMs ?? 0;
      if (this.#clock.wallMs() - modifiedMs > BEGUN_UPLOADS_KEPT_MS) await this.#disk.remove(path);
      else kept.push({ path, modifiedMs });
    }
    kept.sort((one, other) => other.modifiedMs - one.modifiedMs);
    for (const { path } of kept.slice(BEGUN_UPLOADS_MAX - 1)) await this.#disk.remove(path);
  }

  #pathOf(file: BegunFile): string {
    return join(this.#directory, `${createHash("sha256").update(keyOf(file)).digest("hex").slice(0, 40)}.json`);
  }
}

function read(text: Uint8Array): z.output<typeof record> | undefined {
  try {
    return record.safeParse(JSON.parse(Buffer.from(text).toString("utf8"))).data;
  } catch {
    // B2: a torn or foreign file.
    return undefined;
  }
}

function keyOf({ gateway, owner, app, user, name, path, sizeBytes, modifiedMs }: BegunFile): string {
  return JSON.stringify([gateway, owner, app, user, name, path, sizeBytes, modifiedMs]);
}
