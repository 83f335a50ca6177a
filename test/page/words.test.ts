/** Numbers and errors as people read them. */
import fc from "fast-check";
import { expect, it } from "vitest";
import { ERRORS } from "../../src/core/errors.ts";
import { baseName, bytesText, countText, errorText, timeLeftText } from "../../src/page/words.ts";

it.each([
  [0, "0 bytes"],
  [1, "1 byte"],
  [999, "999 bytes"],
  [1_000, "1.0 KB"],
  [99_949, "99.9 KB"],
  [99_950, "100 KB"],
  [999_949, "1.0 MB"],
  [25_296_094, "25.3 MB"],
  [5 * 1024 ** 4, "5.5 TB"],
])("%d bytes are %s", (bytes, text) => {
  expect(bytesText(bytes)).toBe(text);
});

it("an amount is never told with four digits before its unit", () => {
  fc.assert(
    fc.property(
      fc.maxSafeInteger().filter((bytes) => bytes >= 1000),
      (bytes) => /^\d{1,3}(\.\d)? [KMGTP]B$/.test(bytesText(bytes)) || bytes >= 1e18,
    ),
  );
});

it.each([
  [2, "a few seconds left"],
  [41, "45 seconds left"],
  [60, "1 minute left"],
  [125, "2 minutes left"],
  [7_200, "2 hours left"],
  [200_000, "2 days left"],
])("%d seconds: %s", (seconds, text) => {
  expect(timeLeftText(seconds)).toBe(text);
});

it("every error of the table is told in a sentence, and what is no error too", () => {
  for (const code of Object.keys(ERRORS)) expect(errorText({ code, message: "The server's own sentence." })).toMatch(/^\S.*\.$/);
  expect(errorText(undefined)).toMatch(/Try again\.$/);
  expect(errorText(new Error(""))).toMatch(/Try again\.$/);
});

it("a name's last part is what follows its last slash", () => {
  expect([baseName("a/b/c.txt"), baseName("c.txt"), countText(1, "file"), countText(12_000, "file")]).toEqual([
    "c.txt",
    "c.txt",
    "1 file",
    "12,000 files",
  ]);
});
