/** A request's JSON body: bounded before it is read, checked by a schema after. */
import type { z } from "zod";
import { issuesInWords } from "../bus/client.ts";
import { type ErrorCode, TroupeError } from "../core/errors.ts";
import { JSON_BODY_BYTES_MAX } from "../core/limits.ts";
import type { HttpRequest } from "../core/ports/http-exchange.ts";
import { declaredLength } from "./exchange.ts";

/**
 * @param codes the code for a fault in a field of this name; `BAD_REQUEST` otherwise
 * @throws {TroupeError} `UNSUPPORTED_TYPE`, `TOO_LARGE`, `BAD_REQUEST`, one of `codes`, and what the body throws
 */
export async function readJson<Schema extends z.ZodType>(
  request: HttpRequest,
  schema: Schema,
  codes: Readonly<Record<string, ErrorCode>> = {},
): Promise<z.output<Schema>> {
  const type = request.headers["content-type"]?.split(";")[0]?.trim().toLowerCase();
  if (type !== undefined && type !== "application/json" && !(type.startsWith("application/") && type.endsWith("+json"))) {
    throw new TroupeError(
      "UNSUPPORTED_TYPE",
      `This route takes application/json, not ${type.slice(0, 80)} (curl: -H 'content-type: application/json').`,
    );
  }
  const checked = schema.safeParse(await readValue(request));
  if (checked.success) return checked.data;
  const field = String(checked.error.issues[0]?.path[0] ?? "");
  throw new TroupeError(Object.hasOwn(codes, field) ? (codes[field] as ErrorCode) : "BAD_REQUEST", issuesInWords(checked.error));
}

async function readValue(request: HttpRequest): Promise<unknown> {
  declaredLength(request, JSON_BODY_BYTES_MAX);
  const blocks: Uint8Array[] = [];
  let sizeBytes = 0;
  for await (const block of request.body) {
    sizeBytes += block.length;
    if (sizeBytes > JSON_BODY_BYTES_MAX) throw new TroupeError("TOO_LARGE", `A JSON body has at most ${JSON_BODY_BYTES_MAX} bytes.`);
    blocks.push(block);
  }
  try {
    return JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(Buffer.concat(blocks)));
  } catch (error) {
    throw new TroupeError(
      "BAD_REQUEST",
      sizeBytes === 0 ? "The request has no body; this route wants a JSON object." : "The body is not JSON.",
      { cause: error },
    );
  }
}
