/** Durations and sizes: what is read, what is refused, and that what is shown is read back. */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { approximateDuration, durationText, parseDuration } from "../../src/config/duration.ts";
import { approximateSize, parseSize, sizeText } from "../../src/config/size.ts";
import { TroupeError } from "../../src/core/errors.ts";

describe("durations", () => {
  it.each([
    ["500ms", 500],
    ["10s", 10_000],
    ["1.5h", 5_400_000],
    ["24h", 86_400_000],
    ["7d", 604_800_000],
    ["0", 0],
    ["0s", 0],
  ])("reads %s", (text, durationMs) => {
    expect(parseDuration(text)).toBe(durationMs);
  });

  it("reads back every duration it shows", () => {
    fc.assert(fc.property(fc.maxSafeNat(), (durationMs) => parseDuration(durationText(durationMs)) === durationMs));
  });

  it("gives a whole number of milliseconds or a typed refusal for any text", () => {
    fc.assert(
      fc.property(fc.oneof(fc.string(), fc.stringMatching(/^[\d.]{0,20}(ms|s|m|h|d|S)?$/)), (text) => wholeOrRefused(parseDuration, text)),
    );
  });

  it.each(["", "10", "-1s", "s", "1 week", "1e3s", "10S", " 10s", "9999999999999999d"])("refuses %j", (text) => {
    expect(() => parseDuration(text)).toThrow(TroupeError);
  });

  it("is shown to people with two units at most", () => {
    expect([0, 59_400, 200_000, 18_600_000, 200_000_000].map(approximateDuration)).toEqual(["0s", "59s", "3m 20s", "5h 10m", "2d 7h"]);
  });
});

describe("sizes", () => {
  it.each([
    ["1048576", 1_048_576],
    ["0", 0],
    ["100MB", 100_000_000],
    ["100mb", 100_000_000],
    ["5TiB", 5 * 1024 ** 4],
    ["8M", 8 * 1024 ** 2],
    ["1.5KiB", 1536],
    ["64 KiB", 65_536],
    ["10B", 10],
  ])("reads %s", (text, bytes) => {
    expect(parseSize(text)).toBe(bytes);
  });

  it("reads back every size it shows", () => {
    fc.assert(
      fc.property(
        fc.oneof(
          fc.maxSafeNat(),
          fc.nat(9_000).map((count) => count * 1024 ** 3),
        ),
        (bytes) => parseSize(sizeText(bytes)) === bytes,
      ),
    );
  });

  it("gives a whole number of bytes or a typed refusal for any text", () => {
    fc.assert(
      fc.property(fc.oneof(fc.string(), fc.stringMatching(/^[\d.]{0,20}[KMGTPX]?i?B?$/)), (text) => wholeOrRefused(parseSize, text)),
    );
  });

  it.each(["", "MB", "-1", "1e9", "5iB", "1XB", "0x10", "99999999PiB"])("refuses %j", (text) => {
    expect(() => parseSize(text)).toThrow(TroupeError);
  });

  it("is shown to people with about three figures", () => {
    expect([0, 999, 1024, 1500, 1024 ** 2 - 1, 13 * 1024 ** 2, 5 * 1024 ** 4].map(approximateSize)).toEqual([
      "0 B",
      "999 B",
      "1.00 KiB",
      "1.46 KiB",
      "1.00 MiB",
      "13.0 MiB",
      "5.00 TiB",
    ]);
  });
});

function wholeOrRefused(parse: (text: string) => number, text: string): boolean {
  try {
    const value = parse(text);
    return Number.isSafeInteger(value) && value >= 0;
  } catch (error) {
    return error instanceof TroupeError && error.code === "SETTING_INVALID";
  }
}
