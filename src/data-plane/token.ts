/**
 * Tokens of a node's data server. The node that will serve a token mints it, with its own random key and its own monotonic clock: nobody
 * else can make one, and none is valid after the node's restart; then one asks again.
 *
 * A token is base64url of its claims as JSON, a dot, and base64url of their HMAC-SHA-256.
 */
import { createHmac, timingSafeEqual } from "node:crypto";
import { TroupeError } from "../core/errors.ts";
import { READ_TOKEN_MS, WRITE_TOKEN_MS } from "../core/limits.ts";
import type { Clock } from "../core/ports/clock.ts";
import type { Random } from "../core/ports/random.ts";

/** A right to one whole blob. */
interface ReadGrant {
  readonly kind: "read";
  readonly blobId: number;
  readonly path: string;
  readonly sizeBytes: number;
}

/** A right to the bytes of one upload: to send its chunks, and to read back what it has. */
interface WriteGrant {
  readonly kind: "write";
  readonly uploadId: string;
}

export type Grant = ReadGrant | WriteGrant;

const TOKEN_LENGTH_MAX = 512;
const KEY_BYTES = 32;

export class TokenMint {
  readonly #clock: Clock;
  readonly #key: Uint8Array;

  constructor(clock: Clock, random: Random) {
    this.#clock = clock;
    this.#key = random.bytes(KEY_BYTES);
  }

  mint(grant: Grant): string {
    const untilMs = Math.floor(this.#clock.nowMs() + (grant.kind === "read" ? READ_TOKEN_MS : WRITE_TOKEN_MS));
    const claims = Buffer.from(JSON.stringify({ ...grant, untilMs })).toString("base64url");
    return `${claims}.${this.#sign(claims).toString("base64url")}`;
  }

  /** @throws {TroupeError} `FORBIDDEN`: not minted by this node since its start, of another kind, or expired */
  check<Kind extends Grant["kind"]>(token: string, kind: Kind): Extract<Grant, { kind: Kind }> {
    const refused = (): TroupeError => new TroupeError("FORBIDDEN", "The token is not valid on this node (any more); ask for another.");
    const [claims, signature, ...rest] = token.length > TOKEN_LENGTH_MAX ? [] : token.split(".");
    if (claims === undefined || signature === undefined || rest.length > 0) throw refused();
    const expected = this.#sign(claims);
    const given = Buffer.from(signature, "base64url");
    if (given.length !== expected.length || !timingSafeEqual(given, expected)) throw refused();
    // Signed by this node, so of a form this node writes.
    const { untilMs, ...grant } = JSON.parse(Buffer.from(claims, "base64url").toString()) as Grant & { untilMs: number };
    if (grant.kind !== kind || this.#clock.nowMs() >= untilMs) throw refused();
    return grant as Extract<Grant, { kind: Kind }>;
  }

  /** @throws {TroupeError} `FORBIDDEN`, also for a token that is for another upload */
  checkWrite(token: string, uploadId: string): void {
    if (this.check(token, "write").uploadId !== uploadId) throw new TroupeError("FORBIDDEN", "The token is for another upload.");
  }

  /** @throws {TroupeError} `FORBIDDEN`, also for a token that is for another blob */
  checkRead(token: string, blobId: number): ReadGrant {
    const grant = this.check(token, "read");
    if (grant.blobId !== blobId) throw new TroupeError("FORBIDDEN", "The token is for another blob.");
    return grant;
  }

  #sign(claims: string): Buffer {
    return createHmac("sha256", this.#key).update(claims).digest();
  }
}
