/** Who one is at this server: with a token there is a cookie that scripts cannot read; here is only the name. */
import type { Session } from "./answers.ts";
import { forgetAll } from "./fingerprints.ts";
import { persist, signedIn } from "./patience.ts";
import { ask, whenSignedOut } from "./server.ts";
import { Watched } from "./store.ts";

/** A page that is left is gone by then, also on a device that is busy. */
const LEFT_MS_MAX = 15_000;

export class Account extends Watched {
  state: "asking" | "in" | "out" = "asking";
  /** Why there is no answer yet, in words. */
  waiting: string | undefined;
  owner: string | undefined;
  /** The server wants tokens, so there is something to sign out of. */
  hasTokens = false;
  /** Whoever signs out is asked for no token before the page is a new one. */
  #isLeaving = false;
  /** A token was wanted meanwhile. */
  #isRefused = false;
  readonly #onSignedIn: () => void;
  readonly #answered = Promise.withResolvers<void>();

  constructor(onSignedIn: () => void) {
    super();
    this.#onSignedIn = onSignedIn;
    whenSignedOut(() => {
      if (this.#isLeaving) this.#isRefused = true;
      else this.#isOut();
    });
  }

  /** The server has said for the first time who one is. */
  get answered(): Promise<void> {
    return this.#answered.promise;
  }

  async start(): Promise<void> {
    const { value } = await persist(() => ask<Session>("GET", "/api/v1/session"), {
      signal: new AbortController().signal,
      onWaiting: (reason) => {
        this.waiting = reason;
        this.changed();
      },
    });
    this.#is(value);
    this.#answered.resolve();
  }

  /** @throws what {@link ask} throws; status 401: the token is none */
  async signIn(token: string): Promise<void> {
    const { value } = await ask<Session>("POST", "/api/v1/session", { json: { token } });
    this.#is(value);
  }

  /** @throws what {@link ask} throws */
  async signOut(): Promise<void> {
    if (this.#isLeaving) return;
    this.#isLeaving = true;
    this.#isRefused = false;
    try {
      await ask("DELETE", "/api/v1/session");
    } catch (error) {
      this.#isLeaving = false;
      if (this.#isRefused) this.#isOut();
      throw error;
    }
    // Names of files are nobody else's business at this device.
    forgetAll();
    location.reload();
    // Asked whether to leave while files are on their way, one may stay.
    setTimeout(() => {
      this.#isLeaving = false;
      this.#isOut();
    }, LEFT_MS_MAX);
  }

  #isOut(): void {
    if (this.state !== "in") return;
    this.state = "out";
    this.hasTokens = true;
    this.changed();
  }

  #is({ required, owner }: Session): void {
    this.hasTokens = required;
    this.owner = owner ?? undefined;
    this.state = required && owner === null ? "out" : "in";
    this.changed();
    if (this.state === "out") return;
    signedIn();
    this.#onSignedIn();
  }
}
