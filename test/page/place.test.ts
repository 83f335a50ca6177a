/** The address bar: where one is survives a reload, whatever folders are called. */
import fc from "fast-check";
import { expect, it } from "vitest";
import { filePath, hashOf, listingPath, placeOf } from "../../src/page/place.ts";

const part = fc.string({ unit: "grapheme", minLength: 1, maxLength: 20 }).map((text) => text.replaceAll("/", "_"));

it("a place is found again from its hash", () => {
  fc.assert(
    fc.property(part, fc.array(part, { maxLength: 4 }), fc.option(part, { nil: undefined }), (user, folders, show) => {
      const place = { user, folder: folders.map((name) => `${name}/`).join(""), show };
      expect(placeOf(hashOf(place))).toEqual(place);
    }),
  );
});

it("what somebody typed leads somewhere and never fails", () => {
  expect(placeOf("")).toEqual({ user: "default", folder: "", show: undefined });
  expect(placeOf("#/ann//%zz/")).toEqual({ user: "ann", folder: "%zz/", show: undefined });
  fc.assert(fc.property(fc.string(), (text) => typeof placeOf(text).user === "string"));
});

it("odd names are encoded in the addresses of listings and files", () => {
  expect(listingPath({ user: "a b", folder: "50%/c#d/" })).toBe("/browse/a%20b/50%25/c%23d/");
  expect(filePath({ fileId: "f1", name: "x/y?.mp4" })).toBe("/files/f1/y%3F.mp4");
});
