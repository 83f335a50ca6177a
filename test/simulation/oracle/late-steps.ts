/**
 * What somebody who comes late does with a file that is there, and how each step is tried: see late-user.ts.
 */
import { type AgainPorts, again, MOVING_POLICY } from "../../../src/client/again.ts";
import { TroupeClient } from "../../../src/client/troupe-client.ts";
import { TroupeError } from "../../../src/core/errors.ts";
import type { HttpClient, HttpClientRequest, HttpHeaders } from "../../../src/core/ports/http-exchange.ts";
import { problemOf } from "../../../src/core/received-problem.ts";
import type { Token } from "../../../src/gateway/owner-keys.ts";
import type { SimulatedProcess } from "../simulated-process.ts";
import type { Content } from "../workload/content.ts";
import { endWish, type History, openWish } from "../workload/history.ts";
import { KnownFile, type Rename } from "../workload/known-file.ts";
import { KnownUpload, type UploadWay } from "../workload/known-upload.ts";
import type { Breach } from "./breach.ts";

/** For all steps with a file, those that are tried again among them. */
export const USED_WITHIN_MS = 3 * 60_000;
/** Of no operation of the plan. */
const NO_OPERATION = -1;

export interface LateUserOptions {
  readonly process: SimulatedProcess;
  readonly http: HttpClient;
  readonly history: History;
  /** Its name, and its address. */
  readonly gateway: { readonly name: string; readonly url: string };
  readonly token: Token;
}

export interface FileWish {
  readonly name: string;
  readonly user: string;
  readonly content: Content;
}

export class LateSteps {
  readonly options: LateUserOptions;
  readonly client: TroupeClient;
  readonly ports: AgainPorts;
  readonly #authorization: string;
  /** What it is at. */
  #step = "";

  constructor(options: LateUserOptions) {
    this.options = options;
    const { process, http, gateway, token } = options;
    const secret = `${token.owner}:${token.secret}`;
    this.client = new TroupeClient({ http, clock: process.clock, gateway: gateway.url, token: secret, name: gateway.name });
    this.#authorization = `Basic ${Buffer.from(secret).toString("base64")}`;
    this.ports = {
      clock: process.clock,
      random: process.random,
      onPause: () => process.world.counts.add("oracle.asked-again"),
    };
  }

  /** All of it succeeds, and in time. @returns what does not */
  async within(work: (signal: AbortSignal) => Promise<void>): Promise<Breach | undefined> {
    const { process, gateway } = this.options;
    const patience = new AbortController();
    const timer = process.clock.setTimer(USED_WITHIN_MS, () => patience.abort());
    try {
      await work(patience.signal);
      process.world.counts.add("oracle.files-used");
      return undefined;
    } catch (error) {
      const why = error instanceof TroupeError ? `${error.code} (${error.detail})` : String(error);
      const after = patience.signal.aborted ? ` within ${USED_WITHIN_MS / 1000} s` : "";
      return { rule: "does-not-work", sentence: `${gateway.name}: ${this.#step} did not succeed${after}: ${why}` };
    } finally {
      timer.cancel();
    }
  }

  at(step: string): void {
    this.#step = step;
  }

  tries<T>(step: string, signal: AbortSignal, work: () => Promise<T>): Promise<T> {
    this.at(step);
    return again(MOVING_POLICY, this.ports, signal, work);
  }

  /** An upload that is about to be asked for. */
  known(
    { name, user, content }: FileWish,
    way: UploadWay,
    more: { readonly key?: string; readonly claimsDigest?: boolean } = {},
  ): KnownUpload {
    const { process, history, token } = this.options;
    const { key, claimsDigest = false } = more;
    const labels = { operation: NO_OPERATION, owner: token.owner, app: "default", user, name };
    const known = new KnownUpload({
      ...labels,
      content,
      way,
      key,
      isFalse: false,
      claimsDigest,
      isPartial: false,
      askedMs: process.world.nowMs,
    });
    history.addUpload(known);
    return known;
  }

  /** The upload has become this file. */
  became(known: KnownUpload, fileId: string): KnownFile {
    const { process, history } = this.options;
    known.fileId = fileId;
    const file = new KnownFile(fileId, known, process.world.nowMs);
    history.addFile(file);
    return file;
  }

  /** One exchange. @throws {TroupeError} for a status from 400 on */
  async ask(
    method: string,
    path: string,
    said: { readonly headers?: HttpHeaders; readonly body?: HttpClientRequest["body"] },
    signal: AbortSignal,
  ): Promise<{ readonly status: number; readonly headers: HttpHeaders; readonly bytes: Buffer }> {
    const { http, gateway } = this.options;
    const { headers, body } = said;
    const response = await http.exchange({
      method,
      url: `${gateway.url}${path}`,
      headers: { authorization: this.#authorization, ...headers },
      ...(body === undefined ? {} : { body }),
      signal,
    });
    const blocks: Uint8Array[] = [];
    for await (const block of response.body) blocks.push(block);
    const bytes = Buffer.concat(blocks);
    if (response.status >= 400) throw problemOf(response.status, response.headers, bytes.toString());
    return { status: response.status, headers: response.headers, bytes };
  }

  async reads({ fileId }: KnownFile, { name, content }: FileWish, signal: AbortSignal): Promise<void> {
    const told = await this.tries(`looking at file ${fileId}`, signal, () => this.client.file(fileId, signal));
    if (told.name !== name) throw new TroupeError("NOT_IMPLEMENTED", `It is called ${told.name}, and not ${name}.`);
    const { bytes } = await this.tries(`reading file ${fileId}`, signal, () => this.ask("GET", `/files/${fileId}`, {}, signal));
    if (!content.bytes().equals(bytes)) throw new TroupeError("DIGEST_MISMATCH", "Other bytes came than were sent.");
  }

  async renames(file: KnownFile, name: string, signal: AbortSignal): Promise<void> {
    const wish: Rename = { ...this.wish(), name };
    file.renames.push(wish);
    const said = { headers: { "content-type": "application/json" }, body: JSON.stringify({ name }) };
    await this.tries(`renaming file ${file.fileId}`, signal, () => this.ask("PATCH", `/api/v1/files/${file.fileId}`, said, signal));
    endWish(wish, "acknowledged", this.options.process.world.nowMs);
  }

  async deletes(file: KnownFile, signal: AbortSignal): Promise<void> {
    const wish = this.wish();
    file.deletes.push(wish);
    let attempt = 0;
    await this.tries(`deleting file ${file.fileId}`, signal, async () => {
      attempt += 1;
      // One whose answer was lost may have deleted it.
      await this.client.remove(file.fileId, signal).catch((error: unknown) => {
        if (attempt === 1 || !isNotFound(error)) throw error;
      });
    });
    endWish(wish, "acknowledged", this.options.process.world.nowMs);
    await this.tries(`looking at file ${file.fileId}, which was deleted`, signal, async () => {
      try {
        await this.client.file(file.fileId, signal);
      } catch (error) {
        if (isNotFound(error)) return;
        throw error;
      }
      throw new TroupeError("NOT_IMPLEMENTED", "It is still there.");
    });
  }

  wish() {
    return openWish(NO_OPERATION, this.options.gateway.name, this.options.process.world.nowMs);
  }
}

const isNotFound = (error: unknown): boolean => error instanceof TroupeError && error.code === "FILE_NOT_FOUND";
