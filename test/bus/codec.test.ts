/** Bodies: msgpack and JSON, there and back. */
import fc from "fast-check";
import { unpack } from "msgpackr";
import { describe, expect, it } from "vitest";
import { bodyFormat, decodeBody, encodeBody } from "../../src/bus/codec.ts";
import { TroupeError } from "../../src/core/errors.ts";
import { REQUEST_BYTES_MAX, REQUEST_ITEMS_MAX } from "../../src/core/limits.ts";

const BOUNDS = { bytesMax: REQUEST_BYTES_MAX, itemsMax: REQUEST_ITEMS_MAX };
const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);

function refusal(payload: Uint8Array): string {
  try {
    decodeBody(payload, BOUNDS);
    return "decoded";
  } catch (error) {
    return error instanceof TroupeError ? error.code : `crashed: ${String(error)}`;
  }
}

describe("a body", () => {
  it("is JSON when it begins with a brace, and msgpack otherwise", () => {
    expect(bodyFormat(bytes("{}"))).toBe("json");
    expect(bodyFormat(encodeBody({}, "msgpack"))).toBe("msgpack");
    expect(decodeBody(bytes('{"a":[1,"ü"]}'), BOUNDS)).toEqual({ a: [1, "ü"] });
  });

  it("reads the same in both formats", () => {
    fc.assert(
      fc.property(
        fc.dictionary(
          fc.stringMatching(/^[a-z]{1,8}_?$/),
          fc.oneof(fc.string(), fc.maxSafeInteger(), fc.boolean(), fc.constant(null), fc.array(fc.nat())),
          { noNullPrototype: true },
        ),
        (value) => {
          const numbers = JSON.parse(JSON.stringify(value)) as unknown;
          expect(decodeBody(encodeBody(value, "msgpack"), BOUNDS)).toEqual(numbers);
          expect(decodeBody(encodeBody(value, "json"), BOUNDS)).toEqual(numbers);
        },
      ),
    );
  });

  it("leaves undefined fields out in both formats", () => {
    const value = { a: 1, b: undefined, c: [{ d: undefined }] };
    for (const format of ["msgpack", "json"] as const) expect(decodeBody(encodeBody(value, format), BOUNDS)).toEqual({ a: 1, c: [{}] });
  });

  it("carries text that was cut in the middle of a character, made whole", () => {
    const value = { ["k\ud83d"]: "x\ud83d" };
    for (const format of ["msgpack", "json"] as const)
      expect(decodeBody(encodeBody(value, format), BOUNDS)).toEqual({ "k\ufffd": "x\ufffd" });
  });

  it("is plain msgpack that any library reads", () => {
    const value = {
      uploadId: "x",
      missing: [
        [0, 3],
        [5, 2 ** 40],
      ],
      sizeBytes: Number.MAX_SAFE_INTEGER,
      none: null,
      bytes: Buffer.from("abc"),
    };
    expect(unpack(encodeBody(value, "msgpack"))).toEqual(value);
    expect(encodeBody({ a: 1 }, "msgpack")).toEqual(Buffer.from([0x81, 0xa1, 0x61, 0x01]));
  });

  it("I18: is refused, never thrown at, when it is neither", () => {
    for (const payload of [
      bytes(""),
      bytes("{"),
      bytes("{} x"),
      bytes("hello"),
      Uint8Array.from([0x7b, 0xff]),
      bytes('{"__proto__":{}}'),
      Uint8Array.from([0xc7, 0, 0]),
      new Uint8Array(REQUEST_BYTES_MAX + 1),
    ]) {
      expect(refusal(payload)).toBe("MESSAGE_REFUSED");
    }
  });
});
