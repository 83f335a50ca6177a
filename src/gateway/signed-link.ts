/**
 * Signed links: an address that whoever has it can play until it ends, for players that can send no header.
 *
 * L1: the signature covers the file and the time, and nothing of the address besides: a link works behind any name, and `?download` may be added.
 * L2: that a link has ended is told only of one that was really given.
 * L3: what a link opens does not depend on who follows it.
 */
import { TroupeError } from "../core/errors.ts";
import type { Clock } from "../core/ports/clock.ts";
import type { Principal } from "../core/principal.ts";
import { type OwnerKey, signature, signer } from "./owner-keys.ts";

export interface SignedQuery {
  /** `?expires=…&signature=…`, for the end of a file's address; empty where everybody may read it anyway. */
  readonly query: string;
  /** When it ends; `undefined`: it does not. */
  readonly expiresMs: number | undefined;
}

export class SignedLinks {
  readonly #keys: readonly OwnerKey[];
  readonly #clock: Clock;
  readonly #isNeeded: boolean;

  /** @param isNeeded false: files are read without a token */
  constructor(keys: readonly OwnerKey[], clock: Clock, isNeeded: boolean) {
    this.#keys = keys;
    this.#clock = clock;
    this.#isNeeded = isNeeded;
  }

  /** @param principal the file's owner */
  sign(principal: Principal, fileId: string, seconds: number): SignedQuery {
    const key = this.#keys.find(({ owner }) => owner === principal.owner);
    if (!this.#isNeeded || key === undefined) return { query: "", expiresMs: undefined };
    const expires = Math.floor(this.#clock.wallMs() / 1000) + seconds;
    const query = `?expires=${expires}&signature=${signature(key.links, wordsOf(fileId, String(expires)))}`;
    return { query, expiresMs: expires * 1000 };
  }

  /**
   * The owner of the file that the query opens; `undefined` when it is no link's.
   * @throws {TroupeError} `FORBIDDEN`; `LINK_EXPIRED` (L2)
   */
  open(fileId: string, query: ReadonlyMap<string, string>): Principal | undefined {
    const claimed = query.get("signature");
    if (claimed === undefined) return undefined;
    const expires = query.get("expires") ?? "";
    const key = signer(this.#keys, "links", () => wordsOf(fileId, expires), claimed);
    if (key === undefined) throw new TroupeError("FORBIDDEN", "This link was changed, or was not made by this server for this file.");
    if (this.#clock.wallMs() >= Number(expires) * 1000) throw new TroupeError("LINK_EXPIRED");
    return { owner: key.owner };
  }
}

const wordsOf = (fileId: string, expires: string): readonly string[] => [fileId, expires];
