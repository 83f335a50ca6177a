/** The worker that reads files, as functions. It is started when the first file comes. */
import type { Challenge } from "./answers.ts";
import type { DigestAnswer, DigestRequest } from "./digest-protocol.ts";

type Job = { readonly resolve: (hex: string) => void; readonly reject: (reason: unknown) => void };
type Wish = { readonly kind: "digest"; readonly file: Blob } | ({ readonly kind: "proof"; readonly file: Blob } & Challenge);

class Digests {
  readonly #jobs = new Map<number, Job>();
  #worker: Worker | undefined;
  #last = 0;

  /** BLAKE3 in hex. Rejects when the file cannot be read, or upon the signal. */
  digestOf(file: Blob, signal: AbortSignal): Promise<string> {
    return this.#do({ kind: "digest", file }, signal);
  }

  /** The answer to a challenge, in hex. Rejects like the other. */
  proofOf(file: Blob, challenge: Challenge, signal: AbortSignal): Promise<string> {
    return this.#do({ kind: "proof", file, nonce: challenge.nonce, ranges: challenge.ranges }, signal);
  }

  #do(wish: Wish, signal: AbortSignal): Promise<string> {
    return new Promise((resolve, reject) => {
      if (signal.aborted) return reject(signal.reason);
      this.#last += 1;
      const job = this.#last;
      const abandon = (): void => {
        this.#jobs.delete(job);
        this.#post({ kind: "abandon", job });
        reject(signal.reason);
      };
      const settle = (): void => {
        this.#jobs.delete(job);
        signal.removeEventListener("abort", abandon);
      };
      this.#jobs.set(job, {
        resolve: (hex) => {
          settle();
          resolve(hex);
        },
        reject: (reason) => {
          settle();
          reject(reason);
        },
      });
      signal.addEventListener("abort", abandon, { once: true });
      this.#post({ ...wish, job });
    });
  }

  #post(request: DigestRequest): void {
    this.#worker ??= this.#start();
    this.#worker.postMessage(request);
  }

  #start(): Worker {
    const worker = new Worker(new URL("./digest-worker.ts", import.meta.url), { type: "module" });
    worker.onmessage = ({ data }: MessageEvent<DigestAnswer>) => {
      const job = this.#jobs.get(data.job);
      if (data.hex === undefined) job?.reject(new Error(data.fault));
      else job?.resolve(data.hex);
    };
    // Digests are a comfort: without them files are uploaded whole and the server's own digest stands.
    worker.onerror = () => {
      for (const job of [...this.#jobs.values()]) job.reject(new Error("The worker that reads files could not start."));
      this.#worker = undefined;
    };
    return worker;
  }
}

export const digests = new Digests();
