/** A small client of the tus protocol: pieces of any length, going on where the server says, as clients of others do. */
import { createHash } from "node:crypto";
import { isRetryable, TroupeError } from "../../../src/core/errors.ts";
import type { Content } from "./content.ts";
import type { Doing, Told } from "./doing.ts";

const TUS = { "tus-resumable": "1.0.0" };
const BODY = { ...TUS, "content-type": "application/offset+octet-stream" };
const PAUSE_MS = 500;
const ATTEMPTS_MAX = 8;

export interface TusWish {
  readonly content: Content;
  readonly concat?: string;
  /** Bytes that come with the creation. */
  readonly firstBytes?: number;
  /** The length is said with a later piece. */
  readonly isDeferred?: boolean;
}

export class TusUpload {
  readonly address: string;
  readonly #doing: Doing;
  readonly #content: Content;
  readonly #isDeferred: boolean;

  private constructor(doing: Doing, content: Content, address: string, isDeferred: boolean) {
    this.#doing = doing;
    this.#content = content;
    this.address = address;
    this.#isDeferred = isDeferred;
  }

  static async create(doing: Doing, wish: TusWish): Promise<TusUpload> {
    const { content, concat, firstBytes = 0, isDeferred = false } = wish;
    const { name, user } = doing.labels;
    const isFinal = concat?.startsWith("final") === true;
    const pairs = [`filename ${base64(name)}`, `user ${base64(user)}`];
    const length = isDeferred ? { "upload-defer-length": "1" } : { "upload-length": String(content.sizeBytes) };
    const body = content.span(0, firstBytes);
    const told = await doing.again(() =>
      doing.ask("POST", "/tus/", {
        content,
        headers: {
          ...(body.length === 0 ? TUS : BODY),
          ...(isFinal ? {} : length),
          "upload-metadata": pairs.join(","),
          "content-length": String(body.length),
          ...(concat === undefined ? {} : { "upload-concat": concat }),
        },
        ...(body.length === 0 ? {} : { body }),
      }),
    );
    const address = told.headers["location"];
    if (address === undefined) throw new TroupeError("NOT_IMPLEMENTED", "A creation was answered without a Location.");
    return new TusUpload(doing, content, address, isDeferred);
  }

  /** Sends all that is missing. @param pieceBytes of one body @param isChecked with checksums */
  async send(pieceBytes: number, isChecked: boolean): Promise<void> {
    const { sizeBytes } = this.#content;
    for (let offset = await this.offset(); offset < sizeBytes; ) {
      const piece = this.#content.span(offset, offset + pieceBytes);
      try {
        offset = offsetOf(await this.patch(offset, piece, isChecked));
      } catch (error) {
        // Whatever became of it, the server knows how far it came.
        if (!isAskedAgain(error)) throw error;
        await this.#doing.rest(PAUSE_MS);
        offset = await this.offset();
      }
    }
  }

  async patch(offset: number, piece: Uint8Array, isChecked: boolean, lies = false): Promise<Told> {
    const checksum = createHash("sha1")
      .update(piece)
      .update(lies ? "a lie" : "")
      .digest("base64");
    const isLengthSaid = this.#isDeferred && offset + piece.length >= this.#content.sizeBytes;
    return await this.#doing.ask("PATCH", this.address, {
      content: this.#content,
      lies,
      headers: {
        ...BODY,
        "upload-offset": String(offset),
        "content-length": String(piece.length),
        ...(isChecked || lies ? { "upload-checksum": `sha1 ${checksum}` } : {}),
        ...(isLengthSaid ? { "upload-length": String(this.#content.sizeBytes) } : {}),
      },
      body: piece,
    });
  }

  /** As far as it has come, for certain. */
  async offset(): Promise<number> {
    return offsetOf(await this.head());
  }

  async head(): Promise<Told> {
    for (let attempt = 1; ; attempt += 1) {
      try {
        return await this.#doing.ask("HEAD", this.address, { content: this.#content, headers: TUS });
      } catch (error) {
        if (attempt >= ATTEMPTS_MAX || !isAskedAgain(error)) throw error;
        await this.#doing.rest(PAUSE_MS * attempt);
      }
    }
  }

  async terminate(): Promise<void> {
    await this.#doing.again(() => this.#doing.ask("DELETE", this.address, { headers: TUS }));
  }
}

/** A failure that may pass, an upload that is locked, or an offset that is another by now. */
const isAskedAgain = (error: unknown): boolean =>
  isRetryable(error) || (error instanceof TroupeError && (error.code === "OFFSET_MISMATCH" || error.facts["httpStatus"] === 423));

const offsetOf = ({ headers }: Told): number => Number(headers["upload-offset"] ?? 0);
const base64 = (text: string): string => Buffer.from(text).toString("base64");
