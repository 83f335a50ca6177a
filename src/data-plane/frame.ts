/**
 * One message of a transfer over the bus: a byte that says its kind, a number of four bytes (big endian), and a body.
 *
 * | kind | number | body |
 * |---|---|---|
 * | 1 bytes | which frame of the transfer, from 0 | its bytes, at least one |
 * | 2 end | how many frames of bytes there were | the outcome as JSON, or nothing |
 * | 3 failure | 0 | code, detail and facts of the error as JSON |
 * | 4 credit | how many frames may have been sent in all | nothing |
 * | 5 waiting | 0 | nothing: whoever sends has no bytes now, but is there |
 *
 * Delivery is at most once and keeps no promise about order: the number shows a frame that is missing. Whoever receives a frame answers
 * for what it says, so nothing is allocated for what a frame only claims.
 */
import { decodeBody, encodeBody } from "../bus/codec.ts";
import { isErrorCode, TroupeError } from "../core/errors.ts";
import { ERROR_DETAIL_CHARACTERS_MAX, FRAME_BYTES_MAX, REQUEST_BYTES_MAX, REQUEST_ITEMS_MAX } from "../core/limits.ts";

export const FRAME_HEADER_BYTES = 5;
const NUMBER_MAX = 0xffff_ffff;
const KINDS = { bytes: 1, end: 2, failure: 3, credit: 4, waiting: 5 } as const;

export type Frame =
  | { readonly kind: "bytes"; readonly number: number; readonly bytes: Uint8Array }
  | { readonly kind: "end"; readonly count: number; readonly outcome: unknown }
  | { readonly kind: "failure"; readonly error: TroupeError }
  | { readonly kind: "credit"; readonly upTo: number }
  | { readonly kind: "waiting" };

export function encodeFrame(frame: Frame): Uint8Array {
  switch (frame.kind) {
    case "bytes":
      return framed(KINDS.bytes, frame.number, frame.bytes);
    case "end":
      return framed(KINDS.end, frame.count, frame.outcome === undefined ? undefined : encodeBody(frame.outcome, "json"));
    case "failure":
      return framed(KINDS.failure, 0, failureBody(frame.error));
    case "credit":
      return framed(KINDS.credit, frame.upTo, undefined);
    case "waiting":
      return framed(KINDS.waiting, 0, undefined);
  }
}

/** @throws {TroupeError} `MESSAGE_REFUSED` for anything that {@link encodeFrame} would not write */
export function decodeFrame(payload: Uint8Array): Frame {
  if (payload.length < FRAME_HEADER_BYTES || payload.length > FRAME_HEADER_BYTES + FRAME_BYTES_MAX)
    throw refused(`It has ${payload.length} bytes.`);
  const kind = payload[0];
  const number = new DataView(payload.buffer, payload.byteOffset + 1, 4).getUint32(0);
  const body = payload.subarray(FRAME_HEADER_BYTES);
  if (kind === KINDS.bytes && body.length > 0) return { kind: "bytes", number, bytes: body };
  if (kind === KINDS.end) return { kind: "end", count: number, outcome: body.length === 0 ? undefined : jsonOf(body) };
  if (kind === KINDS.failure && number === 0) return { kind: "failure", error: failureOf(jsonOf(body)) };
  if (kind === KINDS.credit && body.length === 0) return { kind: "credit", upTo: number };
  if (kind === KINDS.waiting && number === 0 && body.length === 0) return { kind: "waiting" };
  throw refused("Its kind is none, or has no such body.");
}

function framed(kind: number, number: number, body: Uint8Array | undefined): Uint8Array {
  if (!Number.isInteger(number) || number < 0 || number > NUMBER_MAX) throw refused(`${number} is not the number of a frame.`);
  const payload = Buffer.allocUnsafe(FRAME_HEADER_BYTES + (body?.length ?? 0));
  payload[0] = kind;
  payload.writeUInt32BE(number, 1);
  if (body !== undefined) payload.set(body, FRAME_HEADER_BYTES);
  return payload;
}

/** Facts that are too large, or are not plain data, stay behind. */
function failureBody({ code, detail, facts }: TroupeError): Uint8Array {
  const short = { code, detail: detail.slice(0, ERROR_DETAIL_CHARACTERS_MAX) };
  try {
    const body = encodeBody({ ...short, facts }, "json");
    jsonOf(body);
    return body;
  } catch {
    return encodeBody(short, "json");
  }
}

function failureOf(value: unknown): TroupeError {
  const { code, detail, facts } = value as { code?: unknown; detail?: unknown; facts?: unknown };
  if (typeof code !== "string" || typeof detail !== "string") throw refused("It is a failure without a code or a detail.");
  const known = typeof facts === "object" && facts !== null && !Array.isArray(facts) ? (facts as Record<string, unknown>) : {};
  if (!isErrorCode(code))
    return new TroupeError("INTERNAL", `The other end failed in a way this version does not know: ${code}: ${detail}`);
  return new TroupeError(code, detail, { facts: known });
}

function jsonOf(body: Uint8Array): unknown {
  return decodeBody(body, { bytesMax: REQUEST_BYTES_MAX, itemsMax: REQUEST_ITEMS_MAX });
}

function refused(why: string): TroupeError {
  return new TroupeError("MESSAGE_REFUSED", `A message of a transfer is no frame. ${why}`);
}
