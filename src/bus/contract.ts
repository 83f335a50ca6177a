/**
 * What an actor answers, written once. From a contract derive the typed client, the exhaustive handler map, subscriptions,
 * validation at both ends, `docs/PROTOCOL.md`, and generators for fuzzing.
 *
 * A program of version N talks to N−1: fields are added, never repurposed; what a schema does not name is dropped.
 */
import assert from "node:assert/strict";
import type { z } from "zod";
import type { ErrorCode } from "../core/errors.ts";
import { checkIdentity } from "../core/identity.ts";

/** Who answers: one member of the queue group, or every one that listens. */
export type Audience = "one" | "all";
/** Status and cancellation have a lane of their own, which works while the other is full. */
export type Lane = "normal" | "priority";

export interface RequestDefinition<
  Input extends z.ZodType = z.ZodType,
  Output extends z.ZodType = z.ZodType,
  To extends Audience = Audience,
> {
  /** One sentence for `docs/PROTOCOL.md`. */
  readonly doc: string;
  readonly input: Input;
  readonly output: Output;
  /** Codes this request may answer with, besides those any request may (see `COMMON_ERRORS`). */
  readonly errors: readonly ErrorCode[];
  readonly to: To;
  readonly lane: Lane;
  /** Changes nothing; an observer may ask it, and `{}` is answered (if only with a typed error). */
  readonly readOnly: boolean;
  /** Done twice is as good as done once: when the member of the queue group that got it stays silent, another is asked. Reads are. */
  readonly repeatable: boolean;
}

/** What any request to any actor may be answered with. */
export const COMMON_ERRORS = [
  "BAD_REQUEST",
  "BAD_IDENTITY",
  "MESSAGE_REFUSED",
  "PAYLOAD_TOO_LARGE",
  "NOT_FOUND",
  "BUSY",
  "INTERNAL",
  "UNAVAILABLE",
  "DEADLINE_EXCEEDED",
  "STOPPING",
  "DATABASE_UNAVAILABLE",
  "BUS_UNAVAILABLE",
] as const satisfies readonly ErrorCode[];

interface RequestOptions<Input, Output, To> {
  readonly doc: string;
  readonly input: Input;
  readonly output: Output;
  readonly errors: readonly ErrorCode[];
  readonly to?: To;
  readonly lane?: Lane;
  readonly readOnly?: boolean;
  readonly repeatable?: boolean;
}

export function request<Input extends z.ZodType, Output extends z.ZodType, To extends Audience = "one">(
  options: RequestOptions<Input, Output, To>,
): RequestDefinition<Input, Output, To> {
  const { readOnly = false } = options;
  return { lane: "normal", repeatable: readOnly, ...options, readOnly, to: (options.to ?? "one") as To };
}

export type Requests = Readonly<Record<string, RequestDefinition>>;

export interface Contract<R extends Requests = Requests> {
  /** The role that answers, one identity token: `tracker`. */
  readonly name: string;
  readonly doc: string;
  /** `troupe.v1.upload.{uploadId}`; the verb is appended. */
  readonly subject: string;
  readonly requests: R;
}

export function defineContract<R extends Requests>(contract: Contract<R>): Contract<R> {
  checkIdentity(contract.name, "A contract's name");
  for (const verb of Object.keys(contract.requests)) checkIdentity(verb, "A request's name");
  return contract;
}

export type Verb<C extends Contract> = keyof C["requests"] & string;
/** What a caller gives: before defaults are filled in. */
export type InputOf<C extends Contract, V extends Verb<C>> = z.input<C["requests"][V]["input"]>;
/** What a handler gets: defaults filled in. */
export type ReceivedOf<C extends Contract, V extends Verb<C>> = z.output<C["requests"][V]["input"]>;
/** What a handler returns and a caller gets. */
export type OutputOf<C extends Contract, V extends Verb<C>> = z.output<C["requests"][V]["output"]>;

/** Values for the `{placeholders}` of a contract's subject. */
export type SubjectIdentity = Readonly<Record<string, string>>;

/**
 * The subject of one actor, without the verb. Every identity is checked before a subject is built.
 * @throws {TroupeError} `BAD_IDENTITY`
 */
export function actorSubject(contract: Contract, identity: SubjectIdentity = {}): string {
  return contract.subject.replaceAll(/\{(\w+)\}/g, (_, key: string) => {
    assert(key in identity, `${contract.subject} needs ${key}`);
    return checkIdentity(identity[key], key);
  });
}

export function requestSubject(contract: Contract, identity: SubjectIdentity, verb: string): string {
  return `${actorSubject(contract, identity)}.${verb}`;
}

/** Facts are events on subjects of their own, published after the commit they speak of. */
export function eventSubject(actor: string, identity: string, fact: string): string {
  return `troupe.v1.evt.${checkIdentity(actor, "actor")}.${checkIdentity(identity, "identity")}.${checkIdentity(fact, "fact")}`;
}
