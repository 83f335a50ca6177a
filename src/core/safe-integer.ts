/** 64-bit integers from a database or a binary header, as numbers; a value a number cannot hold is a programmer's error by then. */
import assert from "node:assert/strict";

export function safeInteger(value: bigint): number {
  assert(value >= BigInt(Number.MIN_SAFE_INTEGER) && value <= BigInt(Number.MAX_SAFE_INTEGER), `${value} fits into a number`);
  return Number(value);
}
