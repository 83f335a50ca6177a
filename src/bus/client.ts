/**
 * The typed client of a contract: one method a request, validated before it is sent and when the answer arrives.
 *
 * A repeatable request to a queue group is asked once more, with all the time that is left, when nobody answers: its first try has a part of
 * the time only, so that a member that was killed costs a moment. Whoever got it and comes to it later does not begin it, and any answer,
 * BUSY too, is the answer. So is one that an outage of the bus ended: it waits for the bus no less than other requests.
 *
 * `client(bus, upload, { uploadId }).merge({ epoch }, { principal })` type-checks against the contract, as does its answer.
 */
import { isErrorCode, TroupeError } from "../core/errors.ts";
import {
  BUS_PAYLOAD_BYTES_MAX,
  REPLY_BYTES_MAX,
  REPLY_ITEMS_MAX,
  REQUEST_BYTES_MAX,
  REQUEST_FIRST_TRY_PERCENT,
  REQUEST_TIMEOUT_DEFAULT_MS,
} from "../core/limits.ts";
import type { Bus, BusMessage, RequestOptions } from "../core/ports/bus.ts";
import type { Principal } from "../core/principal.ts";
import { currentTrace, traceHeaders } from "../core/trace.ts";
import { decodeBody, encodeBody } from "./codec.ts";
import {
  type Contract,
  type InputOf,
  type OutputOf,
  type RequestDefinition,
  requestSubject,
  type SubjectIdentity,
  type Verb,
} from "./contract.ts";
import { HEADERS } from "./headers.ts";

export interface CallOptions {
  /** On whose behalf. Absent: the system itself. */
  readonly principal?: Principal | undefined;
  readonly timeoutMs?: number | undefined;
  readonly signal?: AbortSignal | undefined;
  /** Of a request that all hear: go on after this many answers instead of waiting for the timeout. */
  readonly answersMax?: number | undefined;
}

/** One of many answers to a request that all hear. */
export type Answer<Output> = { readonly ok: true; readonly output: Output } | { readonly ok: false; readonly error: TroupeError };

type Result<C extends Contract, V extends Verb<C>> = C["requests"][V]["to"] extends "all" ? Answer<OutputOf<C, V>>[] : OutputOf<C, V>;

export type Client<C extends Contract> = {
  readonly [V in Verb<C>]: (input: InputOf<C, V>, options?: CallOptions) => Promise<Result<C, V>>;
};

/** The owner name under which actors speak for the system itself; no token can have it. */
export const SYSTEM_OWNER = "$system";

/** @throws {TroupeError} `BAD_IDENTITY` for an identity that cannot stand in a subject */
export function client<C extends Contract>(bus: Bus, contract: C, identity: SubjectIdentity = {}): Client<C> {
  // An actor with an identity is one alone: there is nobody else to ask.
  const isGroup = !contract.subject.includes("{");
  const methods = Object.entries(contract.requests).map(([verb, definition]) => {
    const subject = requestSubject(contract, identity, verb);
    const question = { subject, definition, asksAgain: isGroup && definition.repeatable };
    return [verb, (input: unknown, options: CallOptions = {}) => call(bus, question, input, options)];
  });
  return Object.fromEntries(methods) as Client<C>;
}

interface Question {
  readonly subject: string;
  readonly definition: RequestDefinition;
  readonly asksAgain: boolean;
}

async function call(bus: Bus, question: Question, input: unknown, options: CallOptions): Promise<unknown> {
  const { subject, definition } = question;
  const checked = definition.input.safeParse(input);
  if (!checked.success) throw new TroupeError("BAD_REQUEST", `${subject}: ${issuesInWords(checked.error)}`);
  const payload = encodeBody(input, "msgpack");
  if (payload.length > REQUEST_BYTES_MAX)
    throw new TroupeError("PAYLOAD_TOO_LARGE", `${subject}: ${payload.length} bytes, more than ${REQUEST_BYTES_MAX}.`);
  const timeoutMs = options.timeoutMs ?? REQUEST_TIMEOUT_DEFAULT_MS;
  if (definition.to === "all") {
    const request = busRequest(options, timeoutMs);
    const replies = await bus.requestMany(
      subject,
      payload,
      options.answersMax === undefined ? request : { ...request, repliesMax: options.answersMax },
    );
    return replies.map((reply) => readAnswer(subject, definition, reply));
  }
  const answer = readAnswer(subject, definition, await ask(bus, question, payload, options, timeoutMs));
  if (!answer.ok) throw answer.error;
  return answer.output;
}

async function ask(bus: Bus, question: Question, payload: Uint8Array, options: CallOptions, timeoutMs: number): Promise<BusMessage> {
  const { subject, asksAgain } = question;
  if (!asksAgain) return await bus.request(subject, payload, busRequest(options, timeoutMs));
  const untilMs = bus.nowMs() + timeoutMs;
  let leftMs: number;
  try {
    return await bus.request(subject, payload, busRequest(options, Math.ceil((timeoutMs * REQUEST_FIRST_TRY_PERCENT) / 100)));
  } catch (error) {
    leftMs = untilMs - bus.nowMs();
    if (leftMs <= 0 || !mayGoBetter(error)) throw error;
  }
  return await bus.request(subject, payload, busRequest(options, leftMs));
}

/** Not where the bus refuses at once and would again: closed, or too much waits for it already. */
function mayGoBetter(error: unknown): boolean {
  return error instanceof TroupeError && (error.code === "DEADLINE_EXCEEDED" || error.facts["away"] === true);
}

function busRequest(options: CallOptions, timeoutMs: number): RequestOptions {
  return {
    timeoutMs,
    headers: {
      [HEADERS.timeout]: String(Math.ceil(timeoutMs)),
      [HEADERS.principal]: encodeURIComponent((options.principal?.owner ?? SYSTEM_OWNER).toWellFormed()),
      ...traceHeaders(HEADERS.requestId),
      ...(currentTrace()?.isLook === true ? { [HEADERS.look]: "1" } : {}),
    },
    ...(options.signal === undefined ? {} : { signal: options.signal }),
  };
}

function readAnswer(subject: string, definition: RequestDefinition, reply: BusMessage): Answer<unknown> {
  try {
    const error = readError(subject, reply);
    if (error !== undefined) return { ok: false, error };
    const output = definition.output.safeParse(
      decodeBody(reply.payload, { bytesMax: Math.min(REPLY_BYTES_MAX, BUS_PAYLOAD_BYTES_MAX), itemsMax: REPLY_ITEMS_MAX }),
    );
    if (output.success) return { ok: true, output: output.data };
    return {
      ok: false,
      error: new TroupeError("INTERNAL", `${subject} answered something its contract does not allow: ${issuesInWords(output.error)}`),
    };
  } catch (error) {
    return { ok: false, error: new TroupeError("INTERNAL", `${subject} answered something that cannot be read.`, { cause: error }) };
  }
}

function readError(subject: string, reply: BusMessage): TroupeError | undefined {
  const sentence = reply.headers[HEADERS.error];
  if (sentence === undefined) return undefined;
  const code = reply.headers[HEADERS.errorCode] ?? "";
  if (!isErrorCode(code))
    return new TroupeError("INTERNAL", `${subject} answered an error this version does not know: ${code}: ${sentence}`);
  const body = reply.payload.length === 0 ? {} : decodeBody(reply.payload, { bytesMax: REPLY_BYTES_MAX, itemsMax: REPLY_ITEMS_MAX });
  const { detail, facts } = body as { detail?: unknown; facts?: unknown };
  const known = typeof facts === "object" && facts !== null && !Array.isArray(facts) ? (facts as Record<string, unknown>) : {};
  // Somebody answered: what they say of a subject they asked themselves must not be taken for this one.
  const { noResponders: _, ...kept } = known;
  return new TroupeError(code, typeof detail === "string" ? detail : sentence, { facts: kept });
}

/** Schema issues as one line: `name: not empty; sizeBytes: expected number`. */
export function issuesInWords(error: {
  readonly issues: readonly { readonly path: readonly PropertyKey[]; readonly message: string }[];
}): string {
  return error.issues
    .slice(0, 5)
    .map((issue) => (issue.path.length === 0 ? issue.message : `${issue.path.join(".")}: ${issue.message}`))
    .join("; ");
}

/** Whether an error means that nobody listens on the subject. */
export function isNoResponders(error: unknown): boolean {
  return error instanceof TroupeError && error.code === "UNAVAILABLE" && error.facts["noResponders"] === true;
}
