/** The address bar of /inspect, which people send to each other. */
import { expect, it } from "vitest";
import { ALL_SESSIONS, inspectHashOf, inspectPlaceOf, type SessionFilter } from "../../src/page/inspect/inspect-place.ts";

it("an upload is found again from its hash", () => {
  const place = { view: "upload", uploadId: "V1StGXR8_Z5jdHi6B-myT0" } as const;
  expect(inspectPlaceOf(inspectHashOf(place))).toEqual(place);
});

it.each(["..\\..\\..\\files\\f1\\n.json?signature=x", "a?b", "a%2fb", "a#b", "é", "x".repeat(65)])(
  "what is no identity leads to the list, and never into an address that is asked: %j",
  (text) => {
    expect(inspectPlaceOf(`#/uploads/${text}`)).toEqual({ view: "uploads", filter: ALL_SESSIONS });
  },
);

it.each<SessionFilter>([
  ALL_SESSIONS,
  { state: "failed", search: "" },
  { state: "", search: "a/b ?&=#%2f+é" },
  { state: "receiving", search: "../uploads" },
])("a list is found again as it was narrowed: %j", (filter) => {
  expect(inspectPlaceOf(inspectHashOf({ view: "uploads", filter }))).toEqual({ view: "uploads", filter });
});

it("a list is narrowed by nothing that there is not", () => {
  expect(inspectHashOf({ view: "uploads", filter: ALL_SESSIONS })).toBe("#/uploads");
  expect(inspectPlaceOf("#/uploads?state=lost&search=%20&limit=9")).toEqual({ view: "uploads", filter: ALL_SESSIONS });
});
