/** An operation of the plan while a client does it: its parameters, and ways to the gateways that the witness looks at. */

import { type AgainPorts, again, STARTING_POLICY } from "../../../src/client/again.ts";
import { TroupeClient } from "../../../src/client/troupe-client.ts";
import { isRetryable, TroupeError } from "../../../src/core/errors.ts";
import { CLIENT_SILENCE_MS_MAX } from "../../../src/core/limits.ts";
import { sleep } from "../../../src/core/ports/clock.ts";
import type { HttpClient, HttpClientRequest, HttpHeaders } from "../../../src/core/ports/http-exchange.ts";
import { problemOf } from "../../../src/core/received-problem.ts";
import { SilenceWatch } from "../../../src/core/silence-watch.ts";
import type { Token } from "../../../src/gateway/owner-keys.ts";
import { PUBLIC_URL } from "../cluster.ts";
import type { Operation } from "../plan.ts";
import { type RandomStream, RandomStreams } from "../random-streams.ts";
import { Content } from "./content.ts";
import { GatewayDoor } from "./gateway-door.ts";
import type { History, OperationRecord } from "./history.ts";
import type { KnownFile } from "./known-file.ts";
import type { SimulatedClient } from "./simulated-client.ts";
import { Witness } from "./witness/witness.ts";

/** What is said with a request, and what only its sender knows. */
export interface Said {
  readonly headers?: HttpHeaders;
  readonly body?: HttpClientRequest["body"];
  readonly content?: Content | undefined;
  readonly lies?: boolean;
  /** Without a token: the address is all there is. */
  readonly isNobody?: boolean;
  /** Somebody else does it, at this moment. */
  readonly as?: Token;
}

export interface Told {
  readonly status: number;
  readonly headers: HttpHeaders;
  readonly text: string;
}

export class Doing {
  readonly client: SimulatedClient;
  readonly operation: Operation;
  readonly record: OperationRecord;
  /** Aborted when its user has no patience any more. */
  readonly signal: AbortSignal;
  /** 1, and more when the client died before and lives again. */
  readonly attempt: number;
  readonly door: GatewayDoor;
  /** Of this operation, whatever others draw. */
  readonly random: RandomStream;

  constructor(client: SimulatedClient, operation: Operation, record: OperationRecord, signal: AbortSignal, attempt: number) {
    this.client = client;
    this.operation = operation;
    this.record = record;
    this.signal = signal;
    this.attempt = attempt;
    const { surroundings } = client;
    const gateways = surroundings.topology.gateways.map((name) => surroundings.gatewayUrl(name));
    this.door = new GatewayDoor({ gateways, first: this.number("gateway") + attempt - 1, roams: this.is("roams") });
    this.random = new RandomStreams(this.number("draws")).stream(operation.client, operation.kind);
  }

  get history(): History {
    return this.client.history;
  }

  get owner(): string {
    return this.client.token.owner;
  }

  get ports(): SimulatedClient["ports"] {
    return this.client.ports;
  }

  get nowMs(): number {
    return this.client.world.nowMs;
  }

  /** A key that is this operation's, in every attempt. */
  key(word = "key"): string {
    return `${this.operation.client}-${this.record.id}-${word}`;
  }

  number(parameter: string): number {
    return Number(this.operation.with[parameter] ?? 0);
  }

  text(parameter: string): string {
    return String(this.operation.with[parameter] ?? "");
  }

  is(parameter: string): boolean {
    return this.operation.with[parameter] === true;
  }

  /** What is to be sent. */
  get content(): Content {
    return Content.of(this.number("content"), this.number("size"));
  }

  /** Name and labels of a new file. */
  get labels(): { readonly name: string; readonly user: string } {
    return { name: this.text("name"), user: this.text("user") };
  }

  /** One of the owner's files, if there is any: the newest ones more often. */
  file(parameter = "choice"): KnownFile | undefined {
    return chosen(this.history.filesOf(this.owner), this.number(parameter));
  }

  /** The production client. @param gateway its address; otherwise whichever the door leads to */
  troupe(content?: Content, gateway: string = PUBLIC_URL): TroupeClient {
    const { owner, secret } = this.client.token;
    const { clock } = this.client.process;
    return new TroupeClient({ http: this.#http({ content }), clock, gateway, token: `${owner}:${secret}`, name: gateway });
  }

  /**
   * One exchange, as any program would have it.
   * @param address a path, or one with a gateway
   * @throws {TroupeError} for a status from 400 on, and when no answer comes
   */
  async ask(method: string, address: string, said: Said = {}): Promise<Told> {
    const watch = new SilenceWatch(this.client.process.clock, CLIENT_SILENCE_MS_MAX, this.signal);
    try {
      const { body } = said;
      const response = await this.#http(said).exchange({
        method,
        url: address.startsWith("/") ? PUBLIC_URL + address : address,
        headers: { ...this.#authorization(said), ...said.headers },
        ...(body === undefined ? {} : { body }),
        signal: watch.signal,
      });
      const blocks: Uint8Array[] = [];
      for await (const block of response.body) {
        watch.touch();
        blocks.push(block);
      }
      const text = Buffer.concat(blocks).toString("utf8");
      if (response.status >= 400) throw problemOf(response.status, response.headers, text);
      return { status: response.status, headers: response.headers, text };
    } catch (error) {
      throw watch.explain(error, address);
    } finally {
      watch.end();
    }
  }

  /** Does it again after a failure that may pass, as a person would. */
  again<T>(work: () => Promise<T>): Promise<T> {
    return again(STARTING_POLICY, this.ports satisfies AgainPorts, this.signal, work);
  }

  async rest(delayMs: number): Promise<void> {
    await sleep(this.client.process.clock, delayMs, this.signal);
  }

  /** For what is tried although it may be refused, or go wrong: the error, if it is one that others can tell more about. */
  async attempted<T>(work: Promise<T>): Promise<T | TroupeError> {
    try {
      return await work;
    } catch (error) {
      if (error instanceof TroupeError) return error;
      throw error;
    }
  }

  /** Wrong input that must be refused, with this code, unless something stands in the way of an answer. */
  async expectRefusal(code: string, work: Promise<unknown>): Promise<void> {
    const outcome = await this.attempted(work);
    const isRefused = outcome instanceof TroupeError && (outcome.code === code || isRetryable(outcome));
    // That the upload has ended meanwhile was looked at by the witness.
    const hasEnded = outcome instanceof TroupeError && outcome.status === 410;
    if (isRefused || hasEnded) return;
    const was = outcome instanceof TroupeError ? outcome.code : "accepted";
    this.client.world.violate("wrong-accepted", `${this.operation.client} expected ${code}, and it was ${was}.`);
  }

  #authorization({ isNobody, as = this.client.token }: Said): HttpHeaders {
    if (isNobody === true) return {};
    const { owner, secret } = as;
    return { authorization: `Basic ${Buffer.from(`${owner}:${secret}`).toString("base64")}` };
  }

  #http({ content, lies, as = this.client.token }: Pick<Said, "content" | "lies" | "as">): HttpClient {
    const { world, history, http, surroundings } = this.client;
    const intent = { operation: this.record.id, owner: as.owner, content, lies };
    const gatewayAt = (host: string): string => `${host}#${surroundings.life(host)?.life ?? 0}`;
    const witness = new Witness({ world, history, http, gatewayAt, disks: surroundings.disks, intent });
    return { exchange: (request) => this.door.exchange(request, witness), close: async () => undefined };
  }
}

/** Of the last few twice as often as of all. */
export function chosen<T>(from: readonly T[], choice: number): T | undefined {
  if (from.length === 0) return undefined;
  const among = choice % 3 === 0 ? from : from.slice(-8);
  return among[Math.floor(choice / 3) % among.length];
}
