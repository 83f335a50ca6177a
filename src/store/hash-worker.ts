/**
 * The worker thread that hashes growing files, many side by side.
 *
 * W1: followers take turns, one block each, and messages are heard between any two blocks: nobody waits for a large file to end.
 * W2: a follower has its file open only while there is something to read; thousands that wait cost no descriptors.
 */

import assert from "node:assert/strict";
import { closeSync, openSync, readSync } from "node:fs";
import { type MessagePort, parentPort } from "node:worker_threads";
import type { DigestAlgorithm } from "../core/digest.ts";
import { TroupeError, toTroupeError } from "../core/errors.ts";
import type { Digests, StreamHash } from "../core/ports/hasher.ts";
import { diskError } from "./disk-error.ts";
import { streamHash } from "./stream-hash.ts";

export type ToWorker =
  | { readonly kind: "follow"; readonly id: number; readonly path: string; readonly algorithms: readonly DigestAlgorithm[] }
  | { readonly kind: "advance"; readonly id: number; readonly offset: number }
  | { readonly kind: "finish"; readonly id: number; readonly sizeBytes: number }
  | { readonly kind: "close"; readonly id: number };

export type FromWorker =
  | { readonly kind: "finished"; readonly id: number; readonly digests: Digests }
  | { readonly kind: "failed"; readonly id: number; readonly error: FailureMessage }
  | { readonly kind: "closed"; readonly id: number };

/** A {@link TroupeError} in a form that passes between threads. */
export interface FailureMessage {
  readonly code: TroupeError["code"];
  readonly detail: string;
  readonly facts: Readonly<Record<string, unknown>>;
}

const BLOCK_BYTES = 1024 * 1024;

class Follower {
  readonly id: number;
  readonly #path: string;
  readonly #hashes: readonly (readonly [DigestAlgorithm, StreamHash])[];
  #descriptor: number | undefined;
  #hashedBytes = 0;
  #finalBytes = 0;
  #finishing = false;

  constructor(id: number, path: string, algorithms: readonly DigestAlgorithm[]) {
    this.id = id;
    this.#path = path;
    this.#hashes = algorithms.map((algorithm) => [algorithm, streamHash(algorithm)]);
  }

  advance(offset: number): void {
    this.#finalBytes = Math.max(this.#finalBytes, offset);
  }

  finish(sizeBytes: number): void {
    assert(sizeBytes >= this.#finalBytes, "a file has at least the bytes that were final");
    this.#finalBytes = sizeBytes;
    this.#finishing = true;
  }

  get isBehind(): boolean {
    return this.#hashedBytes < this.#finalBytes;
  }

  get isFinished(): boolean {
    return this.#finishing && !this.isBehind;
  }

  /** Reads and hashes one block; when that was the last for now, lets the file go (W2). */
  hashBlock(block: Uint8Array): void {
    const wantedBytes = Math.min(block.length, this.#finalBytes - this.#hashedBytes);
    const readBytes = this.#read(block, wantedBytes);
    if (readBytes === 0) {
      throw new TroupeError("DISK_FAILED", `${this.#path} ends at ${this.#hashedBytes}, before ${this.#finalBytes}.`, {
        facts: { syscall: "read", errno: "EOF" },
      });
    }
    const bytes = block.subarray(0, readBytes);
    for (const [, hash] of this.#hashes) hash.update(bytes);
    this.#hashedBytes += readBytes;
    if (!this.isBehind) this.release();
  }

  digests(): Digests {
    return Object.fromEntries(this.#hashes.map(([algorithm, hash]) => [algorithm, hash.digestHex()]));
  }

  release(): void {
    if (this.#descriptor === undefined) return;
    const descriptor = this.#descriptor;
    this.#descriptor = undefined;
    closeSync(descriptor);
  }

  #read(block: Uint8Array, wantedBytes: number): number {
    try {
      this.#descriptor ??= openSync(this.#path, "r");
      return readSync(this.#descriptor, block, 0, wantedBytes, this.#hashedBytes);
    } catch (error) {
      throw diskError(error, this.#path);
    }
  }
}

class HashLoop {
  readonly #port: MessagePort;
  readonly #followers = new Map<number, Follower>();
  /** Those with something to hash, in the order of their turns (W1). */
  readonly #behind = new Set<Follower>();
  readonly #block = Buffer.allocUnsafeSlow(BLOCK_BYTES);
  #scheduled = false;

  constructor(port: MessagePort) {
    this.#port = port;
  }

  receive(message: ToWorker): void {
    if (message.kind === "follow") {
      this.#followers.set(message.id, new Follower(message.id, message.path, message.algorithms));
      return;
    }
    const follower = this.#followers.get(message.id);
    if (message.kind === "close") {
      if (follower !== undefined) this.#drop(follower);
      this.#send({ kind: "closed", id: message.id });
      return;
    }
    // It has failed, and its owner has been told.
    if (follower === undefined) return;
    if (message.kind === "advance") follower.advance(message.offset);
    else follower.finish(message.sizeBytes);
    if (follower.isFinished) this.#finish(follower);
    else if (follower.isBehind) this.#behind.add(follower);
    this.#schedule();
  }

  #schedule(): void {
    if (this.#scheduled || this.#behind.size === 0) return;
    this.#scheduled = true;
    setImmediate(() => {
      this.#scheduled = false;
      this.#takeTurn();
      this.#schedule();
    });
  }

  #takeTurn(): void {
    for (const follower of this.#behind) {
      this.#behind.delete(follower);
      try {
        follower.hashBlock(this.#block);
        if (follower.isFinished) this.#finish(follower);
        else if (follower.isBehind) this.#behind.add(follower);
      } catch (error) {
        const { code, detail, facts } = toTroupeError(error);
        this.#drop(follower);
        this.#send({ kind: "failed", id: follower.id, error: { code, detail, facts } });
      }
      return;
    }
  }

  #finish(follower: Follower): void {
    this.#drop(follower);
    this.#send({ kind: "finished", id: follower.id, digests: follower.digests() });
  }

  #drop(follower: Follower): void {
    this.#behind.delete(follower);
    this.#followers.delete(follower.id);
    follower.release();
  }

  #send(message: FromWorker): void {
    this.#port.postMessage(message);
  }
}

assert(parentPort !== null, "this module runs as a worker thread");
const loop = new HashLoop(parentPort);
parentPort.on("message", (message: ToWorker) => loop.receive(message));
