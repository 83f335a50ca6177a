/**
 * A Disk whose syncs form groups: at most one is in flight on the device, and all who ask for the same file or directory in the
 * meantime share the next one.
 *
 * G1: a sync returns only after a sync of the device that began after the call. Nobody joins the one in flight: their bytes may have
 *     been written too late for it.
 * G2: a failed sync rejects all its waiters and is never retried. The operating system may have dropped what it could not write and
 *     reports it once, so after a failure every further sync of that file object fails at once, also after a full disk: a file that
 *     is opened anew and written anew can be synced. A directory that failed otherwise than by a full disk stays failed.
 * G3: syncs of different files and directories begin in the order in which they were first asked for.
 */
import { TroupeError, toTroupeError } from "../core/errors.ts";
import type { Clock } from "../core/ports/clock.ts";
import type { DirectoryEntry, Disk, DiskFile, DiskSpace, FileStatus, OpenMode } from "../core/ports/disk.ts";
import type { Counter, Histogram, Metrics } from "../core/ports/metrics.ts";

/** Past so many directories that could not be synced, no directory of the device is believed any more. */
const FAILED_DIRECTORIES_MAX = 64;

/** A file object, or a directory's path. */
type Target = GroupedSyncFile | string;

interface SyncMeter {
  readonly clock: Clock;
  readonly asked: Counter;
  readonly failed: Counter;
  readonly fileSeconds: Histogram;
  readonly directorySeconds: Histogram;
}

/** Those who wait for one sync that has not begun. */
interface Group {
  readonly start: () => Promise<void>;
  readonly done: PromiseWithResolvers<void>;
}

export class GroupedSyncDisk implements Disk {
  readonly #inner: Disk;
  /** Groups that have not begun, in order (G3). At most one for each open file and each directory. */
  readonly #waiting = new Map<Target, Group>();
  readonly #failedFiles = new WeakMap<GroupedSyncFile, TroupeError>();
  readonly #failedDirectories = new Map<string, TroupeError>();
  #inFlight = false;
  #suspect: TroupeError | undefined;
  readonly #meter: SyncMeter | undefined;

  /** @param measuring absent: nothing is measured */
  constructor(inner: Disk, measuring?: { readonly clock: Clock; readonly metrics: Metrics }) {
    this.#inner = inner;
    if (measuring === undefined) return;
    const { clock, metrics } = measuring;
    this.#meter = {
      clock,
      asked: metrics.counter("troupe_disk_sync_requests_total", {}),
      failed: metrics.counter("troupe_disk_sync_failures_total", {}),
      fileSeconds: metrics.histogram("troupe_disk_sync_seconds", { target: "file" }),
      directorySeconds: metrics.histogram("troupe_disk_sync_seconds", { target: "directory" }),
    };
    metrics.read("troupe_disk_syncs_waiting", () => [{ labels: {}, value: this.#waiting.size }]);
  }

  get suspect(): TroupeError | undefined {
    return this.#suspect;
  }

  async open(path: string, mode: OpenMode): Promise<DiskFile> {
    const inner = await this.#inner.open(path, mode);
    const file: GroupedSyncFile = new GroupedSyncFile(inner, {
      sync: () => this.#sync(file, () => inner.sync()),
      closing: () => this.#abandon(file),
    });
    return file;
  }

  makeDirectory(path: string): Promise<void> {
    return this.#inner.makeDirectory(path);
  }

  readDirectory(path: string): Promise<DirectoryEntry[]> {
    return this.#inner.readDirectory(path);
  }

  status(path: string): Promise<FileStatus | undefined> {
    return this.#inner.status(path);
  }

  link(from: string, to: string): Promise<void> {
    return this.#inner.link(from, to);
  }

  rename(from: string, to: string): Promise<void> {
    return this.#inner.rename(from, to);
  }

  remove(path: string): Promise<void> {
    return this.#inner.remove(path);
  }

  syncDirectory(path: string): Promise<void> {
    return this.#sync(path, () => this.#inner.syncDirectory(path));
  }

  space(path: string): Promise<DiskSpace> {
    return this.#inner.space(path);
  }

  lock(directory: string): Promise<{ release(): Promise<void> }> {
    return this.#inner.lock(directory);
  }

  #sync(target: Target, start: () => Promise<void>): Promise<void> {
    this.#meter?.asked.add();
    const failure = this.#failureOf(target);
    if (failure !== undefined) return Promise.reject(failure);
    let group = this.#waiting.get(target);
    if (group === undefined) {
      group = { start, done: Promise.withResolvers() };
      this.#waiting.set(target, group);
    }
    const { promise } = group.done;
    if (!this.#inFlight) void this.#run();
    return promise;
  }

  /** Runs groups until none waits. Never rejects: a failure goes to the group's waiters. */
  async #run(): Promise<void> {
    this.#inFlight = true;
    for (const [target, group] of this.#waiting) {
      // From here on a sync of the same target makes a new group, at the end of the order (G1).
      this.#waiting.delete(target);
      try {
        await this.#timed(target, group);
        group.done.resolve();
      } catch (error) {
        this.#meter?.failed.add();
        const failure = toTroupeError(error, "DISK_FAILED");
        this.#keepFailure(target, failure);
        group.done.reject(failure);
        // Who asked while it ran may have written before it failed (G2).
        this.#rejectWaiting(target, failure);
      }
    }
    this.#inFlight = false;
  }

  async #timed(target: Target, { start }: Group): Promise<void> {
    if (this.#meter === undefined) return await start();
    const { clock, fileSeconds, directorySeconds } = this.#meter;
    const beganMs = clock.nowMs();
    await start();
    (typeof target === "string" ? directorySeconds : fileSeconds).observe((clock.nowMs() - beganMs) / 1_000);
  }

  #failureOf(target: Target): TroupeError | undefined {
    if (typeof target !== "string") return this.#failedFiles.get(target);
    if (this.#failedDirectories.size >= FAILED_DIRECTORIES_MAX) return this.#suspect;
    return this.#failedDirectories.get(target);
  }

  #keepFailure(target: Target, failure: TroupeError): void {
    // A directory that could not even be opened was not synced, and nothing of it was lost by that.
    if (failure.facts["syscall"] === "open") return;
    if (typeof target !== "string") this.#failedFiles.set(target, failure);
    if (failure.code === "DISK_FULL") return;
    this.#suspect ??= failure;
    if (typeof target === "string") this.#failedDirectories.set(target, failure);
  }

  /** The file is being closed: a sync of it that has not begun never will. */
  #abandon(file: GroupedSyncFile): void {
    this.#rejectWaiting(
      file,
      new TroupeError("DISK_FAILED", `${file.path} was closed before it was synced.`, { facts: { syscall: "sync", errno: "EBADF" } }),
    );
  }

  #rejectWaiting(target: Target, failure: TroupeError): void {
    const group = this.#waiting.get(target);
    this.#waiting.delete(target);
    group?.done.reject(failure);
  }
}

class GroupedSyncFile implements DiskFile {
  readonly #inner: DiskFile;
  readonly #owner: { sync(): Promise<void>; closing(): void };

  constructor(inner: DiskFile, owner: { sync(): Promise<void>; closing(): void }) {
    this.#inner = inner;
    this.#owner = owner;
  }

  get path(): string {
    return this.#inner.path;
  }

  get descriptor(): number | undefined {
    return this.#inner.descriptor;
  }

  read(into: Uint8Array, offset: number): Promise<number> {
    return this.#inner.read(into, offset);
  }

  write(bytes: Uint8Array, offset: number): Promise<number> {
    return this.#inner.write(bytes, offset);
  }

  sync(): Promise<void> {
    return this.#owner.sync();
  }

  truncate(sizeBytes: number): Promise<void> {
    return this.#inner.truncate(sizeBytes);
  }

  sizeBytes(): Promise<number> {
    return this.#inner.sizeBytes();
  }

  close(): Promise<void> {
    this.#owner.closing();
    return this.#inner.close();
  }
}
