/**
 * The Range field of a request, read as RFC 9110 section 14 wants.
 *
 * R1: numbers are compared as BigInt before they become numbers; no length of digits overflows anything.
 * R2: work and answer are bounded: more than `RANGE_COUNT_MAX` ranges, or ranges adding up to more than `RANGE_SUM_MULTIPLE_MAX`
 *     times the file, are answered with the whole file, as is a field that is malformed (section 14.2 lets a server ignore it).
 * R3: the ranges answered stand in the order they were asked, each within the file.
 */
import { RANGE_COUNT_MAX, RANGE_SUM_MULTIPLE_MAX } from "./limits.ts";

/** Both ends inclusive. */
export interface ByteRange {
  readonly first: number;
  readonly last: number;
}

export type RangeDecision =
  | { readonly kind: "whole" }
  | { readonly kind: "ranges"; readonly ranges: readonly ByteRange[] }
  | { readonly kind: "unsatisfiable" };

const WHOLE: RangeDecision = { kind: "whole" };
const UNIT = /^bytes[ \t]*=/i;
const SPEC = /^(?:(\d+)-(\d*)|-(\d+))$/;

/**
 * @param field the value of `Range`, or `undefined` when there is none
 * @param sizeBytes of the file, a safe integer
 */
export function parseRange(field: string | undefined, sizeBytes: number): RangeDecision {
  const unit = field === undefined ? null : UNIT.exec(field);
  if (field === undefined || unit === null) return WHOLE;
  // Empty list elements mean nothing (RFC 9110, section 5.6.1).
  const specs = field
    .slice(unit[0].length)
    .split(",")
    .map((spec) => spec.replace(/^[ \t]+|[ \t]+$/g, ""))
    .filter((spec) => spec !== "");
  if (specs.length === 0 || specs.length > RANGE_COUNT_MAX) return WHOLE;
  const ranges: ByteRange[] = [];
  for (const spec of specs) {
    const range = parseSpec(spec, BigInt(sizeBytes));
    if (range === "malformed") return WHOLE;
    if (range !== "outside") ranges.push(range);
  }
  if (ranges.length === 0) return { kind: "unsatisfiable" };
  const sum = ranges.reduce((total, { first, last }) => total + BigInt(last - first + 1), 0n);
  return sum > BigInt(sizeBytes) * BigInt(RANGE_SUM_MULTIPLE_MAX) ? WHOLE : { kind: "ranges", ranges };
}

function parseSpec(spec: string, size: bigint): ByteRange | "malformed" | "outside" {
  const match = SPEC.exec(spec);
  if (match === null) return "malformed";
  const [, firstText, lastText, suffixText] = match;
  if (firstText === undefined) {
    const suffix = position(suffixText as string);
    if (suffix === 0n || size === 0n) return "outside";
    return { first: Number(suffix >= size ? 0n : size - suffix), last: Number(size - 1n) };
  }
  const first = position(firstText);
  const last = lastText === undefined || lastText === "" ? size - 1n : position(lastText);
  if (lastText !== undefined && lastText !== "" && last < first) return "malformed";
  if (first >= size) return "outside";
  return { first: Number(first), last: Number(last < size ? last : size - 1n) };
}

/** Decimal digits; more than any file size can have are all the same to us, and cost nothing. */
function position(digits: string): bigint {
  const significant = digits.replace(/^0+/, "");
  if (significant.length > 19) return 10n ** 19n;
  return BigInt(significant === "" ? "0" : significant);
}
