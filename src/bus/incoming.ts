/**
 * A message from the bus, read and checked before it may wait for a turn: what is not a request its actor can answer never wakes it.
 */
import type { z } from "zod";
import { TroupeError } from "../core/errors.ts";
import { REQUEST_BYTES_MAX, REQUEST_ITEMS_MAX, REQUEST_TIMEOUT_DEFAULT_MS, REQUEST_TIMEOUT_MS_MAX } from "../core/limits.ts";
import type { BusHeaders, BusMessage } from "../core/ports/bus.ts";
import { LOCAL_PRINCIPAL, type Principal } from "../core/principal.ts";
import { owner } from "../core/shapes.ts";
import type { OpenSpan } from "../core/span-book.ts";
import { issuesInWords } from "./client.ts";
import { type BodyFormat, bodyFormat, decodeBody } from "./codec.ts";
import type { RequestDefinition } from "./contract.ts";
import { DEAD_LETTER_REASONS, type DeadLetterReason } from "./dead-letters.ts";
import { HEADERS } from "./headers.ts";
import { isInbox } from "./subject.ts";

/** Where an answer goes, and how it is written. */
export interface ReturnAddress {
  /** The subject that was asked. */
  readonly subject: string;
  readonly reply: string;
  readonly format: BodyFormat;
}

/** A message that waits for an answer. */
export interface Question {
  readonly address: ReturnAddress;
  /** Not always one of the contract's. */
  readonly verb: string;
  /** Monotonic. */
  readonly arrivedMs: number;
  /** Absent where none are kept. */
  readonly span: OpenSpan | undefined;
}

/** A question that was read, and found to be what the contract allows. */
export interface IncomingRequest extends Question {
  readonly definition: RequestDefinition;
  readonly input: unknown;
  readonly principal: Principal;
  /** Monotonic. */
  readonly deadlineMs: number;
}

const TIMEOUT = /^[0-9]{1,15}$/;

/**
 * An answer goes to an inbox only: a reply subject that names a command, or the bus's own API, would make the actor's answer a
 * request in the actor's name.
 */
export function returnAddress(message: BusMessage): ReturnAddress | DeadLetterReason {
  const { reply, subject, payload } = message;
  if (reply === undefined || reply === "") return DEAD_LETTER_REASONS.noReply;
  if (!isInbox(reply)) return DEAD_LETTER_REASONS.foreignReply;
  return { subject, reply, format: payload.length === 0 ? "json" : bodyFormat(payload) };
}

/** @throws {TroupeError} `BAD_REQUEST`, `MESSAGE_REFUSED` */
export function readRequest(message: BusMessage, question: Question, definition: RequestDefinition): IncomingRequest {
  const { headers } = message;
  const deadlineMs = question.arrivedMs + readTimeoutMs(headers);
  const principal = readPrincipal(headers);
  return {
    ...question,
    definition,
    input: readInput(message, definition.input),
    principal,
    deadlineMs,
  };
}

function readInput(message: BusMessage, schema: z.ZodType): unknown {
  // No body at all is what a person's command-line client sends most easily; it stands for no fields.
  const body =
    message.payload.length === 0 ? {} : decodeBody(message.payload, { bytesMax: REQUEST_BYTES_MAX, itemsMax: REQUEST_ITEMS_MAX });
  const input = schema.safeParse(body);
  if (!input.success) throw new TroupeError("BAD_REQUEST", `${message.subject}: ${issuesInWords(input.error)}`);
  return input.data;
}

function readTimeoutMs(headers: BusHeaders): number {
  const text = headers[HEADERS.timeout];
  if (text === undefined) return REQUEST_TIMEOUT_DEFAULT_MS;
  if (!TIMEOUT.test(text)) throw new TroupeError("BAD_REQUEST", `The header ${HEADERS.timeout} is a whole number of milliseconds.`);
  return Math.min(Number(text), REQUEST_TIMEOUT_MS_MAX);
}

/** A request without a principal comes from a person who was let onto the bus itself. */
function readPrincipal(headers: BusHeaders): Principal {
  const text = headers[HEADERS.principal];
  if (text === undefined) return LOCAL_PRINCIPAL;
  const name = owner.safeParse(decodeComponent(text));
  if (!name.success) throw new TroupeError("BAD_REQUEST", `The header ${HEADERS.principal} is an owner's name, percent-encoded.`);
  return { owner: name.data };
}

function decodeComponent(text: string): string | undefined {
  try {
    return decodeURIComponent(text);
  } catch {
    // Malformed percent-encoding: the caller says so in the error's words.
    return undefined;
  }
}
