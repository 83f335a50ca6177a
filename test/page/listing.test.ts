/** What the page lists, page by page. */
import { afterEach, expect, it, vi } from "vitest";
import { Listing } from "../../src/page/listing.ts";

afterEach(() => vi.unstubAllGlobals());

const file = (name: string) => ({ fileId: name, name, size: 1, contentType: "text/plain", modified: "2026-01-31T12:34:56.789Z" });

/** A listing before a server that answers each page so. */
function listingOf(pages: (count: number) => unknown, search = "") {
  let count = 0;
  vi.stubGlobal("fetch", async () => Response.json(pages((count += 1))));
  const listing = new Listing();
  listing.search = search;
  listing.place = { user: "default", folder: "" };
  return { listing, asked: () => count };
}

it.each(["", "word"])("comes to its end with the last page, searched for %j", async (search) => {
  const { listing, asked } = listingOf((count) => ({
    folders: [],
    files: [file(`word${count}`)],
    ...(count < 3 ? { cursor: `${count}` } : {}),
  }));
  listing.search = search;
  await listing.refresh();
  expect(listing).toMatchObject({ rows: [{ name: "word1" }, { name: "word2" }, { name: "word3" }], isCut: false, isLoading: false });
  expect(asked()).toBe(3);
});

it.each(["", "word"])("whose server gives the same cursor again ends in words, searched for %j", async (search) => {
  const { listing, asked } = listingOf(() => ({ folders: [], files: [file("word")], cursor: "again" }), search);
  await listing.refresh();
  expect(listing).toMatchObject({ message: expect.stringContaining("has no end"), isLoading: false });
  expect(asked()).toBe(2);
});

it("whose server goes round in a circle is cut, and that is said", async () => {
  const { listing, asked } = listingOf((count) => ({ folders: [], files: [file("word")], cursor: String(count % 2) }));
  await listing.refresh();
  expect(listing).toMatchObject({ isCut: true, isLoading: false });
  expect(asked()).toBe(2_000);
});

it("a search asks for no more when it has found as many as are shown", async () => {
  const { listing, asked } = listingOf(
    (count) => ({ files: Array.from({ length: 1000 }, (_, index) => file(`word${count}-${index}`)), cursor: String(count) }),
    "word",
  );
  await listing.refresh();
  expect(listing.rows).toHaveLength(2000);
  expect(listing).toMatchObject({ isCut: true });
  expect(asked()).toBe(2);
});
