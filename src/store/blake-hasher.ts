/**
 * The Hasher port: leaves and streams in this thread, whole files in a small pool of worker threads.
 *
 * H1: workers start with the first file to follow and never keep the process alive while nobody waits for them.
 * H2: a worker that dies fails the followers it had with `INTERNAL`; the next follower gets a new worker.
 */
import assert from "node:assert/strict";
import { Worker } from "node:worker_threads";
import type { DigestAlgorithm } from "../core/digest.ts";
import { TroupeError } from "../core/errors.ts";
import type { Digests, FileFollower, Hasher, StreamHash } from "../core/ports/hasher.ts";
import type { FromWorker, ToWorker } from "./hash-worker.ts";
import { leafDigest, streamHash, withBlake3 } from "./stream-hash.ts";

/** Hashing is seldom slower than the disk it reads from; two workers keep one slow digest from holding up all others. */
const WORKER_COUNT_DEFAULT = 2;

export class BlakeHasher implements Hasher {
  readonly #workers: HashWorker[];
  #closed = false;

  constructor(workerCount: number = WORKER_COUNT_DEFAULT) {
    assert(Number.isInteger(workerCount) && workerCount > 0, "a pool has at least one worker");
    this.#workers = Array.from({ length: workerCount }, () => new HashWorker());
  }

  leafDigest(leaf: Uint8Array): Uint8Array {
    return leafDigest(leaf);
  }

  stream(algorithm: DigestAlgorithm): StreamHash {
    return streamHash(algorithm);
  }

  /** @throws {TroupeError} `STOPPING` after `close` */
  follow(path: string, algorithms: readonly DigestAlgorithm[]): FileFollower {
    if (this.#closed) throw new TroupeError("STOPPING", "The hasher is closed.");
    const worker = this.#workers.reduce((least, each) => (each.followerCount < least.followerCount ? each : least));
    return worker.follow(path, withBlake3(algorithms));
  }

  async close(): Promise<void> {
    this.#closed = true;
    await Promise.all(this.#workers.map((worker) => worker.end()));
  }
}

/** One place in the pool: a thread when it is needed, a new one when that has died. */
class HashWorker {
  #thread: Worker | undefined;
  readonly #followers = new Map<number, WorkerFollower>();
  #nextId = 1;
  /** Followers somebody waits for: only while there are any does the thread keep the process alive (H1). */
  #awaitedCount = 0;

  get followerCount(): number {
    return this.#followers.size;
  }

  follow(path: string, algorithms: readonly DigestAlgorithm[]): FileFollower {
    const thread = (this.#thread ??= this.#start());
    const id = this.#nextId++;
    const follower = new WorkerFollower({
      send: (message) => thread.postMessage({ ...message, id }),
      awaited: (by) => this.#await(by),
      gone: () => void this.#followers.delete(id),
    });
    this.#followers.set(id, follower);
    thread.postMessage({ kind: "follow", id, path, algorithms } satisfies ToWorker);
    return follower;
  }

  async end(): Promise<void> {
    const thread = this.#thread;
    this.#thread = undefined;
    this.#failAll(new TroupeError("STOPPING", "The hasher was closed."));
    await thread?.terminate();
  }

  #start(): Worker {
    // Run from its sources, the module is TypeScript; from an installed package, JavaScript.
    const module = import.meta.url.endsWith(".ts") ? "./hash-worker.ts" : "./hash-worker.js";
    const thread = new Worker(new URL(module, import.meta.url), { name: "troupe-hasher" });
    let crash: unknown;
    thread.on("message", (message: FromWorker) => this.#followers.get(message.id)?.receive(message));
    thread.on("error", (error) => {
      crash = error;
    });
    thread.on("exit", (exitCode) => {
      if (this.#thread !== thread) return;
      this.#thread = undefined;
      this.#failAll(new TroupeError("INTERNAL", `A hashing thread ended with ${exitCode}.`, { cause: crash }));
    });
    // After the listeners: adding one makes the thread count again.
    thread.unref();
    return thread;
  }

  #failAll(error: TroupeError): void {
    const followers = [...this.#followers.values()];
    this.#followers.clear();
    for (const follower of followers) follower.threadGone(error);
  }

  #await(by: 1 | -1): void {
    this.#awaitedCount += by;
    if (this.#awaitedCount === 0) this.#thread?.unref();
    else this.#thread?.ref();
  }
}

type FollowerMessage<M = ToWorker> = M extends { readonly kind: "advance" | "finish" | "close" } ? Omit<M, "id"> : never;

interface FollowerPlace {
  send(message: FollowerMessage): void;
  awaited(by: 1 | -1): void;
  gone(): void;
}

class WorkerFollower implements FileFollower {
  readonly #place: FollowerPlace;
  #offset = 0;
  /** Why there will be no digests. */
  #failure: TroupeError | undefined;
  #finishCalled = false;
  #finishing: PromiseWithResolvers<Digests> | undefined;
  #closing: PromiseWithResolvers<void> | undefined;
  /** The worker has nothing of this follower any more. */
  #released = false;

  constructor(place: FollowerPlace) {
    this.#place = place;
  }

  advance(offset: number): void {
    assert(offset >= this.#offset, "offsets never shrink");
    assert(!this.#finishCalled, "a file does not grow once it is finished");
    if (offset === this.#offset) return;
    this.#offset = offset;
    if (!this.#released && this.#closing === undefined) this.#place.send({ kind: "advance", offset });
  }

  async finish(sizeBytes: number): Promise<Digests> {
    assert(!this.#finishCalled, "a file is finished once");
    assert(sizeBytes >= this.#offset, "a file has at least the bytes that were final");
    this.#finishCalled = true;
    if (this.#closing !== undefined) this.#failure ??= closedError();
    if (this.#failure !== undefined) throw this.#failure;
    this.#finishing = Promise.withResolvers();
    this.#place.send({ kind: "finish", sizeBytes });
    this.#place.awaited(1);
    try {
      return await this.#finishing.promise;
    } finally {
      this.#place.awaited(-1);
    }
  }

  async close(): Promise<void> {
    if (this.#released) return;
    if (this.#closing === undefined) {
      this.#closing = Promise.withResolvers();
      this.#finishing?.reject(closedError());
      this.#place.send({ kind: "close" });
    }
    this.#place.awaited(1);
    try {
      await this.#closing.promise;
    } finally {
      this.#place.awaited(-1);
    }
  }

  receive(message: FromWorker): void {
    if (message.kind === "finished") this.#finishing?.resolve(message.digests);
    if (message.kind === "failed") this.#fail(new TroupeError(message.error.code, message.error.detail, { facts: message.error.facts }));
    // Whatever the message, the worker sent it after it had dropped the follower and closed its file.
    this.#release();
  }

  threadGone(error: TroupeError): void {
    this.#fail(error);
    this.#release();
  }

  #fail(error: TroupeError): void {
    this.#failure ??= error;
    this.#finishing?.reject(error);
  }

  #release(): void {
    this.#released = true;
    this.#closing?.resolve();
    this.#place.gone();
  }
}

const closedError = (): TroupeError => new TroupeError("CANCELLED", "The file was given up before it was hashed.");
