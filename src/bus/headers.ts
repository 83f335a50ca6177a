/** Names of the headers that travel with messages (bodies carry the rest), and what a header may be. */
import { TroupeError } from "../core/errors.ts";
import type { BusHeaders } from "../core/ports/bus.ts";

export const HEADERS = {
  /** Milliseconds the caller still waits: a duration, because clocks of two machines differ. */
  timeout: "Troupe-Timeout-Ms",
  principal: "Troupe-Principal",
  trace: "traceparent",
  /** Of the HTTP request that all this is for. */
  requestId: "Troupe-Request-Id",
  /** There when somebody looks into what others do. */
  look: "Troupe-Look",
  contentType: "Content-Type",
  /** Sentence and code of an error answer (NATS micro services, ADR-32). */
  error: "Nats-Service-Error",
  errorStatus: "Nats-Service-Error-Code",
  /** Our code from the table of errors. */
  errorCode: "Troupe-Error-Code",
} as const;

export const CONTENT_TYPES = { json: "application/json", msgpack: "application/vnd.msgpack" } as const;

/** `NATS/1.0`, the line's end and the empty line after the last header. */
const FRAME_BYTES = 12;
/** The colon, the space and the line's end of one header. */
const LINE_BYTES = 4;
const NAME = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/;
// biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what is refused
const VALUE = /^[^\u0000-\u001f\u007f]*$/;
// biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what is replaced
const CONTROLS = /[\u0000-\u001f\u007f]+/g;

/**
 * A copy of the headers that is safe to send: every adapter sends and refuses the same. White space around a value does not travel.
 * @throws {TroupeError} `BAD_REQUEST` for a name that is not a token (RFC 9110, 5.6.2) or a value with control characters
 */
export function checkedHeaders(headers: BusHeaders = {}): BusHeaders {
  const entries = Object.entries(headers).map(([name, value]) => {
    if (!NAME.test(name)) throw new TroupeError("BAD_REQUEST", `A header's name is a token; ${JSON.stringify(name.slice(0, 40))} is not.`);
    if (!VALUE.test(value) || !value.isWellFormed())
      throw new TroupeError("BAD_REQUEST", `The header ${name.slice(0, 40)} has a value with characters that cannot be sent.`);
    return [name, value.trim()];
  });
  return Object.freeze(Object.fromEntries(entries));
}

/** What headers add to a message on the wire: they count against the largest payload. */
export function headerBytes(headers: BusHeaders): number {
  let bytes = 0;
  for (const [name, value] of Object.entries(headers)) bytes += name.length + Buffer.byteLength(value) + LINE_BYTES;
  return bytes === 0 ? 0 : bytes + FRAME_BYTES;
}

/** Text as the value of a header: on one line, and no longer than `charactersMax`. */
export function headerText(text: string, charactersMax: number): string {
  return text.slice(0, charactersMax).toWellFormed().replaceAll(CONTROLS, " ").trim();
}
