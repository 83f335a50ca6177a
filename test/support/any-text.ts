/** Any text for property tests: plain letters and signs as often as the rest of Unicode, without halves of surrogate pairs. */
import fc from "fast-check";

const CODE_POINT_MAX = 0x10_ffff;
const SURROGATES = { first: 0xd800, count: 0x800 };

const codePoint = fc.oneof(
  fc.integer({ min: 0, max: 0x7f }),
  fc
    .integer({ min: 0, max: CODE_POINT_MAX - SURROGATES.count })
    .map((point) => (point < SURROGATES.first ? point : point + SURROGATES.count)),
);

/**
 * fast-check's own `unit: "binary"` looks at every code point there is before it begins, for seconds in each file of tests.
 * @param length in code points
 */
export const anyText = (length: { readonly minLength?: number; readonly maxLength?: number } = {}): fc.Arbitrary<string> =>
  fc.array(codePoint, length).map((points) => String.fromCodePoint(...points));
