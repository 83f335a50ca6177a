/** Untrusted bodies: what is refused before it is decoded, and that nothing we write is. */
import fc from "fast-check";
import { Packr } from "msgpackr";
import { describe, expect, it } from "vitest";
import { decodeBody, encodeBody } from "../../src/bus/codec.ts";
import { screenMsgpack, screenValue } from "../../src/bus/screening.ts";
import { TroupeError } from "../../src/core/errors.ts";
import { MESSAGE_DEPTH_MAX, REQUEST_BYTES_MAX, REQUEST_ITEMS_MAX } from "../../src/core/limits.ts";
import { anyText } from "../support/any-text.ts";

const BOUNDS = { bytesMax: REQUEST_BYTES_MAX, itemsMax: REQUEST_ITEMS_MAX, depthMax: MESSAGE_DEPTH_MAX };
const KEY = [0xa1, 0x6b];
/** A map of one field `k` with these bytes as its value. */
const field = (...value: number[]): Uint8Array => Uint8Array.from([0x81, ...KEY, ...value]);
const key = (...bytes: number[]): Uint8Array => Uint8Array.from([0x81, ...bytes, 0xc0]);
const ascii = (text: string): number[] => [...new TextEncoder().encode(text)];

function verdict(screen: () => void): string {
  try {
    screen();
    return "passed";
  } catch (error) {
    return error instanceof TroupeError ? error.code : `crashed: ${String(error)}`;
  }
}
const screened = (bytes: Uint8Array, bounds = BOUNDS): string => verdict(() => screenMsgpack(bytes, bounds));

describe("screening msgpack", () => {
  it("I18: refuses every extension type and the reserved byte", () => {
    for (const type of [0xc1, 0xc7, 0xc8, 0xc9, 0xd4, 0xd5, 0xd6, 0xd7, 0xd8]) {
      expect(screened(field(type, ...new Array<number>(20).fill(0)).subarray(0, 24)), type.toString(16)).toBe("MESSAGE_REFUSED");
    }
  });

  it("I18: refuses keys that reach a prototype, in every way they can be written, and keys that are not strings", () => {
    for (const name of ["__proto__", "constructor", "prototype"]) {
      const text = ascii(name);
      for (const head of [[0xa0 | text.length], [0xd9, text.length], [0xda, 0, text.length], [0xdb, 0, 0, 0, text.length]]) {
        expect(screened(key(...head, ...text)), name).toBe("MESSAGE_REFUSED");
        expect(screened(Uint8Array.from([0x81, ...KEY, 0x91, ...key(...head, ...text)])), `${name} below`).toBe("MESSAGE_REFUSED");
      }
      expect(screened(field(0xa0 | text.length, ...text)), `${name} as a value`).toBe("passed");
    }
    for (const head of [[0x01], [0xc0], [0xc3], [0xcc, 5], [0xc4, 1, 0x61], [0x80], [0x90], [0xcb, 0, 0, 0, 0, 0, 0, 0, 0]])
      expect(screened(key(...head))).toBe("MESSAGE_REFUSED");
  });

  it("I18: refuses an overlong spelling of a key that a lenient decoder would read as __proto__", () => {
    const overlong = [0xc1, 0x9f, 0xc1, 0x9f, ...ascii("proto__")];
    expect(screened(key(0xa0 | overlong.length, ...overlong))).toBe("MESSAGE_REFUSED");
    expect(screened(field(0xa2, 0xc1, 0x9f))).toBe("MESSAGE_REFUSED");
    expect(screened(field(0xa3, 0xed, 0xa0, 0x80))).toBe("MESSAGE_REFUSED");
  });

  it("I18: refuses depth, items and bytes above the bound, and takes what is at the bound", () => {
    const deep = (depth: number): Uint8Array => Uint8Array.from([0x81, ...KEY, ...new Array<number>(depth - 2).fill(0x91), 0x90]);
    expect(screened(deep(MESSAGE_DEPTH_MAX))).toBe("passed");
    expect(screened(deep(MESSAGE_DEPTH_MAX + 1))).toBe("MESSAGE_REFUSED");
    const wide = (count: number): Uint8Array => field(0xdc, count >> 8, count & 0xff, ...new Array<number>(count).fill(1));
    expect(screened(wide(REQUEST_ITEMS_MAX - 1))).toBe("passed");
    expect(screened(wide(REQUEST_ITEMS_MAX))).toBe("MESSAGE_REFUSED");
    const long = (count: number): Uint8Array => field(0xc6, 0, 0, count >> 8, count & 0xff, ...new Array<number>(count).fill(1));
    const overhead = long(0).length;
    expect(screened(long(0xffff), { ...BOUNDS, bytesMax: 0xffff + overhead })).toBe("passed");
    expect(screened(long(0xffff), { ...BOUNDS, bytesMax: 0xfffe + overhead })).toBe("MESSAGE_REFUSED");
  });

  it("I18: refuses trailing bytes, an early end, nothing at all, and anything outermost but a map", () => {
    expect(screened(Uint8Array.from([0x80, 0x00]))).toBe("MESSAGE_REFUSED");
    const whole = encodeBody({ a: [1, "two", { three: 3.5 }], b: new Uint8Array(40), c: "x".repeat(300) }, "msgpack");
    expect(screened(whole)).toBe("passed");
    for (let length = 0; length < whole.length; length += 1)
      expect(screened(whole.subarray(0, length)), `${length} bytes`).toBe("MESSAGE_REFUSED");
    for (const type of [0x00, 0x7f, 0x90, 0xa0, 0xc0, 0xc3, 0xe0, 0xff]) expect(screened(Uint8Array.from([type]))).toBe("MESSAGE_REFUSED");
  });

  it("I20: refuses a claimed length of gigabytes without taking memory for it", () => {
    const before = process.memoryUsage().arrayBuffers;
    for (const type of [0xdb, 0xc6, 0xdd, 0xdf]) expect(screened(field(type, 0xff, 0xff, 0xff, 0xff, 0))).toBe("MESSAGE_REFUSED");
    expect(screened(Uint8Array.from([0xdf, 0xff, 0xff, 0xff, 0xff]))).toBe("MESSAGE_REFUSED");
    expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(1_000_000);
  });

  it("I20: refuses 64-bit integers that a number cannot hold, and takes the largest that it can", () => {
    const wide = (type: number, value: bigint): Uint8Array => {
      const bytes = Buffer.alloc(9);
      bytes[0] = type;
      if (type === 0xcf) bytes.writeBigUInt64BE(value, 1);
      else bytes.writeBigInt64BE(value, 1);
      return field(...bytes);
    };
    for (const value of [2n ** 53n, 2n ** 63n, 2n ** 64n - 1n]) expect(screened(wide(0xcf, value))).toBe("MESSAGE_REFUSED");
    for (const value of [2n ** 53n, -(2n ** 53n), 2n ** 63n - 1n, -(2n ** 63n)])
      expect(screened(wide(0xd3, value))).toBe("MESSAGE_REFUSED");
    for (const type of [0xcf, 0xd3]) {
      const bytes = wide(type, 2n ** 53n - 1n);
      expect(screened(bytes)).toBe("passed");
      expect(decodeBody(bytes, BOUNDS)).toEqual({ k: Number.MAX_SAFE_INTEGER });
    }
  });

  it("refuses or decodes any bytes, and never crashes", () => {
    const types = [
      0x80, 0x81, 0x82, 0x91, 0xa1, 0x6b, 0xa2, 0xc0, 0xc1, 0xc4, 0xc7, 0xca, 0xcb, 0xcf, 0xd3, 0xd4, 0xd9, 0xda, 0xdb, 0xdc, 0xdd, 0xde,
      0xdf, 0xff,
    ];
    const bytes = fc
      .array(fc.oneof(fc.constantFrom(...types), fc.integer({ min: 0, max: 255 })), { maxLength: 64 })
      .map((list) => Uint8Array.from([0x81, 0xa1, 0x6b, ...list]));
    fc.assert(
      fc.property(fc.oneof(bytes, fc.uint8Array({ maxLength: 200 })), (payload) => {
        if (screened(payload) !== "passed") return;
        const value = decodeBody(payload, BOUNDS);
        expect(Object.getPrototypeOf(value)).toBe(Object.prototype);
      }),
      { numRuns: 20_000 },
    );
  });

  it("refuses or decodes any change of one byte of an honest message", () => {
    const honest = encodeBody(
      {
        name: "a/b.mp4",
        size: 123_456_789_012,
        list: [
          [0, 1],
          [3, 9],
        ],
        flag: true,
        nested: { empty: {}, none: null, part: 0.5 },
      },
      "msgpack",
    );
    for (let offset = 0; offset < honest.length; offset += 1) {
      for (let byte = 0; byte < 256; byte += 1) {
        const changed = Uint8Array.from(honest);
        changed[offset] = byte;
        if (screened(changed) === "passed") decodeBody(changed, BOUNDS);
      }
    }
  });

  it("passes the largest message there may be", () => {
    const items = new Array<number>(REQUEST_ITEMS_MAX - 1).fill(0x90);
    const costly = field(0xdc, items.length >> 8, items.length & 0xff, ...items);
    expect(screened(costly)).toBe("passed");
  });

  it("passes whatever we write, and it decodes to what was written", () => {
    const scalar = fc.oneof(
      anyText({ maxLength: 40 }),
      fc.double({ noNaN: true }),
      fc.maxSafeInteger(),
      fc.boolean(),
      fc.constant(null),
      fc.uint8Array({ maxLength: 40 }),
    );
    const name = fc.string({ maxLength: 12 }).filter((text) => !["__proto__", "constructor", "prototype"].includes(text));
    const { value } = fc.letrec((tie) => ({
      value: fc.oneof(
        { maxDepth: 6 },
        scalar,
        fc.array(tie("value"), { maxLength: 5 }),
        fc.dictionary(name, tie("value"), { maxKeys: 5, noNullPrototype: true }),
      ),
    }));
    fc.assert(
      fc.property(fc.dictionary(name, value, { noNullPrototype: true }), (map) => {
        const payload = encodeBody(map, "msgpack");
        expect(screened(payload)).toBe("passed");
        expect(plain(decodeBody(payload, BOUNDS))).toEqual(plain(map));
      }),
      { numRuns: 500 },
    );
  });

  it("passes what another msgpack writer with its default settings writes", () => {
    const other = new Packr({ useRecords: false });
    expect(screened(other.pack({ uploadId: "x", counts: [1, 70_000, 5_000_000_000, -3], big: 2 ** 40, text: "ü".repeat(50) }))).toBe(
      "passed",
    );
  });
});

/** Typed arrays and Buffers with the same bytes compare equal. */
function plain(value: unknown): unknown {
  if (ArrayBuffer.isView(value)) return { bytes: [...new Uint8Array(value.buffer, value.byteOffset, value.byteLength)] };
  if (Array.isArray(value)) return value.map(plain);
  if (typeof value !== "object" || value === null) return Object.is(value, -0) ? 0 : value;
  return Object.fromEntries(Object.entries(value).map(([name, item]) => [name, plain(item)]));
}

describe("screening JSON", () => {
  const json = (text: string, bounds = BOUNDS): string => verdict(() => screenValue(JSON.parse(text), bounds));

  it("I18: refuses prototype keys, depth, items and numbers past all bounds", () => {
    expect(json('{"a":{"__proto__":{"x":1}}}')).toBe("MESSAGE_REFUSED");
    expect(json('{"a":[{"constructor":1}]}')).toBe("MESSAGE_REFUSED");
    expect(json('{"prototype":1}')).toBe("MESSAGE_REFUSED");
    expect(json(`{"a":${"[".repeat(15)}${"]".repeat(15)}}`)).toBe("passed");
    expect(json(`{"a":${"[".repeat(16)}${"]".repeat(16)}}`)).toBe("MESSAGE_REFUSED");
    expect(json(`{"a":[${"1,".repeat(REQUEST_ITEMS_MAX)}1]}`)).toBe("MESSAGE_REFUSED");
    expect(json('{"a":1e999}')).toBe("MESSAGE_REFUSED");
    expect(json('{"a":"\\ud800"}')).toBe("MESSAGE_REFUSED");
    expect(json('{"\\ud800":1}')).toBe("MESSAGE_REFUSED");
    expect(json("[]")).toBe("MESSAGE_REFUSED");
    expect(json('{"a":["__proto__",1.5,null,true,{}]}')).toBe("passed");
  });

  it("survives a body that is nothing but brackets", () => {
    const text = `{"a":${"[".repeat(30_000)}${"]".repeat(30_000)}}`;
    expect(verdict(() => decodeBody(new TextEncoder().encode(text), BOUNDS))).toBe("MESSAGE_REFUSED");
  });
});
