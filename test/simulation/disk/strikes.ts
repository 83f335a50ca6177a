/**
 * What the faults of one disk have hit, and when last: what may be wrong because of them, and what may not. What only makes calls slow or
 * short is not here, nor is a disk that says in time that it is full: bytes that were acknowledged are not touched by that.
 */

const UPLOAD_FOLDER = /\/uploads\/([\w-]+)/;

export class Strikes {
  /** By kind; and by kind and upload, where it was one of an upload's own files, whatever its names are by now. */
  readonly #lastMs = new Map<string, number>();
  readonly #uploads = new Set<string>();
  readonly #livesMs: number[] = [];
  /** Until when it was full last; Infinity: it is. */
  #fullUntilMs = Number.NEGATIVE_INFINITY;

  /** A life of the process begins. */
  mounted(nowMs: number): void {
    this.#livesMs.push(nowMs);
  }

  /** A directory is there. */
  made(path: string): void {
    const uploadId = uploadOf(path);
    if (uploadId !== undefined) this.#uploads.add(uploadId);
  }

  /** @param path where the file was made, if that is known: what is in it */
  struck(kind: string, path: string, nowMs: number): void {
    const uploadId = uploadOf(path);
    this.#lastMs.set(kind, nowMs);
    if (uploadId !== undefined) this.#lastMs.set(`${kind} ${uploadId}`, nowMs);
  }

  /** Others have filled the disk. */
  filled(): void {
    this.#fullUntilMs = Number.POSITIVE_INFINITY;
  }

  /** There is room again. */
  emptied(nowMs: number): void {
    this.#fullUntilMs = nowMs;
  }

  wasFullSince(sinceMs: number): boolean {
    return this.#fullUntilMs >= sinceMs;
  }

  /** The upload's folder is on this disk, or was. */
  hasHeld(uploadId: string): boolean {
    return this.#uploads.has(uploadId);
  }

  /** When the life began that the process had then, or had had last. */
  lifeSinceMs(atMs: number): number {
    return this.#livesMs.findLast((sinceMs) => sinceMs <= atMs) ?? 0;
  }

  /** When a fault of the kind took effect last. @param uploadId whose files it is about; otherwise about all */
  lastMs(kind: string, uploadId?: string): number | undefined {
    return this.#lastMs.get(uploadId === undefined ? kind : `${kind} ${uploadId}`);
  }
}

const uploadOf = (path: string): string | undefined => UPLOAD_FOLDER.exec(path)?.[1];
