import { describe, expect, test } from "vitest";
import { LISTING_ENTRIES_MAX, PAGE_ITEMS_MAX } from "../../src/core/limits.ts";
import { type Answer, Rig } from "./rig.ts";

const TOKENS = [
  { owner: "ann", secret: "s3cret-of-ann" },
  { owner: "bob", secret: "s3cret-of-bob" },
];
const ANN = { authorization: "Bearer s3cret-of-ann" };
const BYTES = Buffer.from("0123456789");

/** Names that are hard for addresses and for HTML. */
const ODD_NAMES = [
  "a b",
  "100%41 & more",
  "what?x=1#here",
  `"quoted" 'so'`,
  "<b>bold",
  "a:b",
  "日本語 é",
  "\u202egnp.exe",
  "&amp;",
  "~tilde",
  "%2e%2e",
  "...",
  "semi;colon+plus",
];

const hrefs = (answer: Answer): string[] => [...answer.bytes.toString().matchAll(/<a href="([^"]*)"/g)].map((match) => match[1] as string);

function addNames(rig: Rig, names: readonly string[], user = "default", owner = "local") {
  return names.map((name) => rig.addFile(BYTES, { name, user, owner }));
}

describe("a listing", () => {
  test("I11: links each folder and file once, by addresses that lead back to exactly that name", async () => {
    await using rig = await Rig.start();
    addNames(rig, [...ODD_NAMES, ...ODD_NAMES.map((name) => `${name}/${name}`)]);
    const answer = await rig.ask("GET", "/browse/default/");
    expect([answer.status, answer.fields["content-type"], answer.fields["cache-control"]]).toEqual([
      200,
      "text/html; charset=utf-8",
      "no-store",
    ]);
    const links = hrefs(answer).filter((href) => href !== "../" && !href.startsWith("?"));
    expect(links).toHaveLength(2 * ODD_NAMES.length);
    const found: string[] = [];
    for (const href of links) {
      // As a client does it: against the address of the listing.
      const { pathname, search, origin } = new URL(href, "http://localhost:8080/browse/default/");
      expect([search, origin]).toEqual(["", "http://localhost:8080"]);
      if (!pathname.endsWith("/")) {
        expect((await rig.ask("GET", pathname)).bytes.equals(BYTES)).toBe(true);
        found.push(decodeURIComponent(pathname.slice("/browse/default/".length)));
        continue;
      }
      const below = hrefs(await rig.ask("GET", pathname)).filter((inner) => inner !== "../" && !inner.startsWith("?"));
      expect(below).toEqual([href.slice(0, -1)]);
    }
    expect(found.sort()).toEqual([...ODD_NAMES].sort());
  });

  test("I10: of names full of markup is text: nothing of them is markup, and nothing may run or be loaded", async () => {
    await using rig = await Rig.start();
    addNames(rig, ["<script>alert(1)</script>", '"><img src=x onerror=alert(1)>', "</title><b>", "javascript:alert(1)"], "<i>user</i>");
    for (const path of ["/browse/", `/browse/${encodeURIComponent("<i>user<")}/i%3E/`, "/browse/%3Ci%3Euser%3C%2Fi%3E/"]) {
      const answer = await rig.ask("GET", path);
      expect(answer.bytes.toString()).not.toMatch(/<script|<img|<b>|<i>|href="javascript/);
    }
    const page = await rig.ask("GET", "/browse/");
    expect(page.bytes.toString()).toContain("&lt;i&gt;user&lt;/i&gt;");
    expect(page.fields["content-security-policy"]).toMatch(/^default-src 'none'; style-src 'sha256-[A-Za-z0-9+/=]+'; base-uri 'none'/);
    expect(page.fields["x-content-type-options"]).toBe("nosniff");
  });

  test("shows a name that is a file and a folder as both, each at its own address", async () => {
    await using rig = await Rig.start();
    addNames(rig, ["both", "both/inside"]);
    expect(hrefs(await rig.ask("GET", "/browse/default/"))).toEqual(expect.arrayContaining(["both", "both/"]));
    expect((await rig.ask("GET", "/browse/default/both")).bytes.equals(BYTES)).toBe(true);
    expect(hrefs(await rig.ask("GET", "/browse/default/both/"))).toEqual(expect.arrayContaining(["../", "inside"]));
  });

  test("links what no address by name can hold by ID, or not at all", async () => {
    await using rig = await Rig.start();
    const [file] = addNames(rig, ["back\\slash", "fol\\der/x"]);
    addNames(rig, ["x"], "a/b");
    expect(hrefs(await rig.ask("GET", "/browse/default/"))).toEqual(expect.arrayContaining([`/files/${file?.fileId}/back_slash`]));
    const page = (await rig.ask("GET", "/browse/default/")).bytes.toString();
    expect(page).toContain("<td><bdi>fol\\der</bdi>/</td>");
    expect((await rig.ask("GET", "/browse/")).bytes.toString()).toContain("<td><bdi>a/b</bdi>/</td>");
  });

  test("without the slash at its end is elsewhere, with its query", async () => {
    await using rig = await Rig.start();
    addNames(rig, ["a:b/c d/x.mp4"]);
    for (const [from, to] of [
      ["/browse", "/browse/"],
      ["/browse?format=json", "/browse/?format=json"],
      ["/browse/default", "/browse/default/"],
      ["/browse/default/a:b", "/browse/default/a%3Ab/"],
      ["/browse/default/a:b/c%20d?m3u", "/browse/default/a%3Ab/c%20d/?m3u"],
    ] as const) {
      const answer = await rig.ask("GET", from);
      expect([answer.status, answer.fields["location"], answer.fields["cache-control"]]).toEqual([308, to, "no-store"]);
      expect((await rig.ask("HEAD", to)).status).toBe(200);
    }
  });

  test("of nothing is 404, but for the one above all of a user's files", async () => {
    await using rig = await Rig.start();
    addNames(rig, ["a/b"]);
    for (const path of ["nothing", "nothing/", "a/b/", "a//b", "a//", "//", `${"x".repeat(256)}/`, "x".repeat(256)]) {
      const answer = await rig.ask("GET", `/browse/default/${path}`);
      expect([path, answer.status, answer.fields["content-type"]]).toEqual([path, 404, "application/problem+json"]);
    }
    for (const path of ["/browse/nobody/", "/browse/default/"]) expect((await rig.ask("GET", path)).status).toBe(200);
    expect((await rig.ask("GET", `/browse/${"u".repeat(300)}/`)).status).toBe(404);
  });

  test("HEAD says the same and asks for no more pages", async () => {
    await using rig = await Rig.start();
    addNames(rig, ["a/b"]);
    for (const path of ["/browse/", "/browse/default/", "/browse/default/a/", "/browse/default/a/?m3u"]) {
      const [got, headed] = [await rig.ask("GET", path), await rig.ask("HEAD", path)];
      expect({ ...headed.fields, "x-request-id": "" }).toEqual({ ...got.fields, "x-request-id": "" });
      expect([headed.status, headed.body]).toEqual([200, undefined]);
    }
    expect((await rig.ask("POST", "/browse/default/")).status).toBe(405);
  });

  test("of several thousand is pulled page by page as the client takes it, and ends when the client goes", async () => {
    await using rig = await Rig.start();
    const names = Array.from({ length: 2_500 }, (_, index) => `f${String(index).padStart(5, "0")}`);
    addNames(rig, names);
    expect(hrefs(await rig.ask("GET", "/browse/default/")).slice(2)).toEqual(names);
    const asked = (): number => rig.calls.filter((call) => call === "catalog.folder").length;
    const before = asked();
    const { body } = await rig.send("GET", "/browse/default/");
    const iterator = (body as AsyncIterable<Uint8Array>)[Symbol.asyncIterator]();
    await iterator.next();
    await iterator.next();
    expect(asked() - before).toBe(1);
    await iterator.next();
    expect(asked() - before).toBe(2);
    await iterator.return?.();
    expect(asked() - before).toBe(2);
  });

  test("ends at its bound with a line that says so", async () => {
    await using rig = await Rig.start();
    rig.folderOf = (from) => Array.from({ length: PAGE_ITEMS_MAX }, (_, index) => ({ kind: "folder", name: `d${from + index}` }));
    const page = (await rig.ask("GET", "/browse/default/")).bytes.toString();
    expect(page.match(/<a href="d\d/g)).toHaveLength(LISTING_ENTRIES_MAX);
    expect(page).toContain(`There is more: only the first ${LISTING_ENTRIES_MAX} entries are listed.`);
  });
});

describe("a listing as JSON", () => {
  test("has folders and files in pages, for whoever asks for it", async () => {
    await using rig = await Rig.start();
    const [file] = addNames(rig, ["show/a.mp4", "show/x/b.mp4", "show/z.mp4"]);
    const answer = await rig.ask("GET", "/browse/default/show/", { headers: { accept: "application/json" } });
    expect(answer.json).toEqual({
      user: "default",
      path: "show/",
      folders: [{ name: "x" }],
      files: [
        {
          name: "a.mp4",
          size: 10,
          contentType: "video/mp4",
          created: "2026-01-01T00:00:00.000Z",
          modified: "2026-01-01T00:00:00.000Z",
          fileId: file?.fileId,
          url: `http://localhost:8080/files/${file?.fileId}/show/a.mp4`,
        },
        expect.objectContaining({ name: "z.mp4" }),
      ],
    });
    expect(answer.fields["vary"]).toBe("accept");
    const first = (await rig.ask("GET", "/browse/default/show/?format=json&limit=2")).json;
    const rest = (await rig.ask("GET", `/browse/default/show/?format=json&cursor=${String(first["cursor"])}`)).json;
    expect([first["folders"], first["files"], rest["files"], rest["cursor"]]).toMatchObject([
      [{ name: "x" }],
      [{ name: "a.mp4" }],
      [{ name: "z.mp4" }],
      undefined,
    ]);
    expect((await rig.ask("GET", "/browse/?format=json")).json).toEqual({ path: "", folders: [{ name: "default" }], files: [] });
    expect((await rig.ask("GET", "/browse/default/?format=json&limit=0")).json["code"]).toBe("BAD_REQUEST");
  });

  test("a browser, which takes anything, gets HTML", async () => {
    await using rig = await Rig.start();
    for (const accept of ["text/html,application/json;q=0.9,*/*", "*/*", "application/xhtml+xml"])
      expect((await rig.ask("GET", "/browse/default/", { headers: { accept } })).fields["content-type"]).toContain("text/html");
  });
});

describe("a file by its name", () => {
  test("is the newest of that name, served as by its ID: ranges, conditions, types, sandbox", async () => {
    await using rig = await Rig.start();
    rig.addFile(Buffer.from("older"), { name: "a/index.html" });
    const file = rig.addFile(BYTES, { name: "a/index.html", contentType: "text/html" });
    const byName = await rig.ask("GET", "/browse/default/a/index.html", { headers: { range: "bytes=2-4" } });
    const byId = await rig.ask("GET", `/files/${file.fileId}/index.html`, { headers: { range: "bytes=2-4" } });
    expect([byName.status, byName.bytes.toString()]).toEqual([206, "234"]);
    expect({ ...byName.fields, "x-request-id": "" }).toEqual({ ...byId.fields, "x-request-id": "" });
    expect(byName.fields["content-security-policy"]).toContain("sandbox");
    const { etag = "" } = byName.fields;
    const fresh = await rig.ask("GET", "/browse/default/a/index.html", { headers: { "if-none-match": etag } });
    expect(fresh.status).toBe(304);
    expect((await rig.ask("GET", "/browse/default/a/index.html?download")).fields["content-disposition"]).toMatch(/^attachment/);
    expect((await rig.ask("HEAD", "/browse/default/a/index.html")).fields["content-length"]).toBe("10");
  });

  test("F25: is gone at once when it was deleted here, and the next older one shows", async () => {
    await using rig = await Rig.start();
    rig.addFile(Buffer.from("older"), { name: "x" });
    const newer = rig.addFile(BYTES, { name: "x" });
    expect((await rig.ask("GET", "/browse/default/x")).bytes.toString()).toBe("0123456789");
    expect((await rig.ask("DELETE", `/api/v1/files/${newer.fileId}`)).status).toBe(204);
    expect((await rig.ask("GET", "/browse/default/x")).bytes.toString()).toBe("older");
  });
});

describe("with tokens", () => {
  test("somebody else's names are as absent as any, listings and files alike", async () => {
    await using rig = await Rig.start({ tokens: TOKENS });
    addNames(rig, ["bobs/film.mp4"], "shared", "bob");
    addNames(rig, ["anns.mp4"], "shared", "ann");
    for (const [theirs, absent] of [
      ["/browse/shared/bobs/film.mp4", "/browse/shared/nope/film.mp4"],
      ["/browse/shared/bobs/", "/browse/shared/nope/"],
      ["/browse/shared/bobs", "/browse/shared/nope"],
    ] as const) {
      const before = rig.calls.length;
      const one = await rig.ask("GET", theirs, { headers: ANN });
      const between = rig.calls.length;
      const other = await rig.ask("GET", absent, { headers: ANN });
      expect(one.status).toBe(404);
      expect(rig.calls.slice(before, between)).toEqual(rig.calls.slice(between));
      expect({ ...one.json, requestId: "" }).toEqual({ ...other.json, requestId: "" });
    }
    expect(hrefs(await rig.ask("GET", "/browse/shared/", { headers: ANN }))).toEqual(["?m3u", "../", "anns.mp4"]);
    for (const path of ["/browse", "/browse/", "/browse/shared/", "/browse/shared/anns.mp4", "/browse/shared/?m3u"]) {
      const answer = await rig.ask("GET", path);
      expect([answer.status, String(answer.fields["www-authenticate"])]).toEqual([401, expect.stringContaining("Basic realm=")]);
    }
  });

  test("and public reading everybody reads all names, and may do no more", async () => {
    await using rig = await Rig.start({ tokens: TOKENS, publicRead: true });
    addNames(rig, ["a.mp4"], "u", "ann");
    addNames(rig, ["b.mp4"], "u", "bob");
    expect(hrefs(await rig.ask("GET", "/browse/u/"))).toEqual(["?m3u", "../", "a.mp4", "b.mp4"]);
    expect((await rig.ask("GET", "/browse/u/b.mp4")).bytes.equals(BYTES)).toBe(true);
    expect((await rig.ask("GET", "/browse/u/?m3u")).bytes.toString()).not.toContain("signature");
    expect((await rig.ask("PUT", "/browse/u/b.mp4", { body: "x" })).status).toBe(405);
  });
});

describe("a playlist", () => {
  test("has a folder's media in the order a person counts, with absolute addresses", async () => {
    await using rig = await Rig.start();
    const [ten, two, one] = addNames(rig, ["show/e 10.mp4", "show/e 2.mp4", "show/e 1.mp4", "show/deeper/e 3.mp4"]);
    rig.addFile(BYTES, { name: "show/notes.txt", contentType: "text/plain" });
    rig.addFile(BYTES, { name: "show/list.m3u", contentType: "audio/x-mpegurl" });
    const answer = await rig.ask("GET", "/browse/default/show/?m3u");
    expect(answer.fields["content-type"]).toBe("audio/x-mpegurl; charset=utf-8");
    expect(answer.fields["content-disposition"]).toBe('inline; filename="show.m3u"');
    const line = (file: typeof one, name: string): string =>
      `#EXTINF:-1,${name}\nhttp://localhost:8080/files/${file?.fileId}/show/${encodeURIComponent(name)}\n`;
    expect(answer.bytes.toString()).toBe(`#EXTM3U\n${line(one, "e 1.mp4")}${line(two, "e 2.mp4")}${line(ten, "e 10.mp4")}`);
  });

  test("I24: plays without a token where tokens are wanted, by links to these files only, and the log has none of them", async () => {
    await using rig = await Rig.start({ tokens: TOKENS });
    addNames(rig, ["a.mp4"], "u", "ann");
    const text = (await rig.ask("GET", "/browse/u/?m3u", { headers: ANN })).bytes.toString();
    const { pathname, search } = new URL(text.split("\n")[2] ?? "");
    expect((await rig.ask("GET", `${pathname}${search}`)).bytes.equals(BYTES)).toBe(true);
    expect((await rig.ask("GET", pathname)).status).toBe(401);
    expect((await rig.ask("GET", `/browse/u/a.mp4${search}`)).status).toBe(401);
    expect(rig.lines.join("\n")).not.toContain(new URLSearchParams(search).get("signature"));
  });
});
