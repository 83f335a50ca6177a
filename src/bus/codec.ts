/**
 * Bodies on the wire: msgpack or JSON. A first byte `{` is JSON and is answered in JSON, so that a person with a bus's own
 * command-line client can ask and read.
 *
 * Untrusted msgpack is screened before it is decoded (src/bus/screening.ts); JSON is bounded by its bytes and screened after.
 */
import { Packr } from "msgpackr";
import { TroupeError } from "../core/errors.ts";
import { MESSAGE_DEPTH_MAX } from "../core/limits.ts";
import { type MessageBounds, screenMsgpack, screenValue } from "./screening.ts";

export type BodyFormat = "msgpack" | "json";

const OPENING_BRACE = 0x7b;
// Maps as plain maps and no record extension: what we write is what any msgpack library reads.
const packr = new Packr({ useRecords: false, mapsAsObjects: true, int64AsType: "number", variableMapSize: true });

export function bodyFormat(payload: Uint8Array): BodyFormat {
  return payload[0] === OPENING_BRACE ? "json" : "msgpack";
}

export function encodeBody(value: unknown, format: BodyFormat): Uint8Array {
  const sent = sendable(value);
  return format === "json" ? new TextEncoder().encode(JSON.stringify(sent)) : packr.pack(sent);
}

/**
 * @returns the decoded map
 * @throws {TroupeError} `MESSAGE_REFUSED`: too large, too deep, too many items, an extension, `__proto__`, trailing bytes, not a map
 */
export function decodeBody(payload: Uint8Array, bounds: Omit<MessageBounds, "depthMax">): unknown {
  const limits = { ...bounds, depthMax: MESSAGE_DEPTH_MAX };
  if (payload.length > limits.bytesMax)
    throw new TroupeError("MESSAGE_REFUSED", `The body has ${payload.length} bytes, more than ${limits.bytesMax}.`);
  if (bodyFormat(payload) === "json") return decodeJson(payload, limits);
  screenMsgpack(payload, limits);
  try {
    return packr.unpack(payload);
  } catch (error) {
    throw new TroupeError("MESSAGE_REFUSED", "The body is not msgpack.", { cause: error });
  }
}

function decodeJson(payload: Uint8Array, bounds: MessageBounds): unknown {
  let value: unknown;
  try {
    value = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(payload));
  } catch (error) {
    throw new TroupeError("MESSAGE_REFUSED", "The body begins like JSON and is not.", { cause: error });
  }
  screenValue(value, bounds);
  return value;
}

/** Fields that are undefined are absent in either format, and text cut in the middle of a character is made whole: receivers refuse it. */
function sendable(value: unknown): unknown {
  if (typeof value === "string") return value.toWellFormed();
  if (Array.isArray(value)) return value.map(sendable);
  if (typeof value !== "object" || value === null || ArrayBuffer.isView(value)) return value;
  const fields = Object.entries(value).filter(([, field]) => field !== undefined);
  return Object.fromEntries(fields.map(([key, field]) => [key.toWellFormed(), sendable(field)]));
}
