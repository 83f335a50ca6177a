/** Columns that hold a value as JSON in UTF-8. What is read was written by this program, or by an older one; so it is checked. */
import type { z } from "zod";
import { bytesOf, textOf } from "../../core/byte-text.ts";

export function jsonBytes(value: unknown): Uint8Array {
  return bytesOf(JSON.stringify(value));
}

/** @throws {Error} for a value that has not the schema's shape: the row was changed by something else */
export function readJson<Schema extends z.ZodType>(schema: Schema, bytes: Uint8Array): z.output<Schema> {
  return schema.parse(JSON.parse(textOf(bytes)));
}
