/** Replies that follow when an effect has ended. Each is given once: by the effect, or in its place when it does not end in time. */
import type { TroupeError } from "../core/errors.ts";
import type { Correspondent } from "./correspondent.ts";
import type { IncomingRequest } from "./incoming.ts";

export class DeferredReplies {
  readonly #correspondent: Correspondent;
  readonly #onEnd: () => void;
  readonly #open = new Set<IncomingRequest>();

  /** @param onEnd called after each reply */
  constructor(correspondent: Correspondent, onEnd: () => void) {
    this.#correspondent = correspondent;
    this.#onEnd = onEnd;
  }

  get size(): number {
    return this.#open.size;
  }

  add(request: IncomingRequest, effect: Promise<unknown>): void {
    this.#open.add(request);
    effect.then(
      (output) => this.#end(request, () => this.#correspondent.answerOutput(request, output)),
      (error: unknown) => this.#end(request, () => this.#correspondent.answerFailure(request, error)),
    );
  }

  /** Answers all that are open without their effects. @returns how many there were */
  answerInstead(error: TroupeError): number {
    const requests = [...this.#open];
    for (const request of requests) this.#end(request, () => this.#correspondent.answerError(request, error));
    return requests.length;
  }

  #end(request: IncomingRequest, answer: () => void): void {
    if (!this.#open.delete(request)) return;
    answer();
    this.#onEnd();
  }
}
