/** Answers as they go on the wire: an output in the format the request came in, or a typed error in headers and body. */
import { ERRORS, TroupeError } from "../core/errors.ts";
import { ANSWER_HEADER_BYTES_MAX, ERROR_DETAIL_CHARACTERS_MAX, ERROR_SENTENCE_CHARACTERS_MAX, REPLY_BYTES_MAX } from "../core/limits.ts";
import type { BusHeaders } from "../core/ports/bus.ts";
import { type BodyFormat, encodeBody } from "./codec.ts";
import { CONTENT_TYPES, HEADERS, headerText } from "./headers.ts";

export interface WireAnswer {
  readonly payload: Uint8Array;
  readonly headers: BusHeaders;
}

/** The largest body of an answer on a bus that carries `payloadBytesMax`. */
export function answerBytesMax(payloadBytesMax: number): number {
  return Math.min(REPLY_BYTES_MAX, payloadBytesMax - ANSWER_HEADER_BYTES_MAX);
}

/** @throws {TroupeError} `PAYLOAD_TOO_LARGE` */
export function outputAnswer(output: unknown, format: BodyFormat, bytesMax: number): WireAnswer {
  const payload = encodeBody(output, format);
  if (payload.length > bytesMax)
    throw new TroupeError("PAYLOAD_TOO_LARGE", `The answer has ${payload.length} bytes, more than ${bytesMax}.`);
  return { payload, headers: { [HEADERS.contentType]: CONTENT_TYPES[format] } };
}

/** An error always gets through: facts that are too large, or are not plain data, stay behind. */
export function errorAnswer(error: TroupeError, format: BodyFormat, bytesMax: number): WireAnswer {
  const detail = error.detail.slice(0, ERROR_DETAIL_CHARACTERS_MAX);
  const whole = tryEncode({ code: error.code, detail, facts: error.facts }, format);
  return {
    payload: whole !== undefined && whole.length <= bytesMax ? whole : encodeBody({ code: error.code, detail, facts: {} }, format),
    headers: {
      [HEADERS.error]: headerText(error.detail, ERROR_SENTENCE_CHARACTERS_MAX) || ERRORS[error.code].sentence,
      [HEADERS.errorStatus]: String(ERRORS[error.code].nats),
      [HEADERS.errorCode]: error.code,
      [HEADERS.contentType]: CONTENT_TYPES[format],
    },
  };
}

function tryEncode(value: unknown, format: BodyFormat): Uint8Array | undefined {
  try {
    return encodeBody(value, format);
  } catch {
    // Facts with a cycle or a bigint cannot travel; the error itself still does.
    return undefined;
  }
}
