import { expect, test } from "vitest";
import type { TroupeClient } from "../../../src/client/troupe-client.ts";
import { TroupeError } from "../../../src/core/errors.ts";
import { LEAF_BYTES } from "../../../src/core/limits.ts";
import { RandomStreams } from "../random-streams.ts";
import { Content } from "../workload/content.ts";
import type { Breach } from "./breach.ts";
import { type ServedFile, servedBreaches } from "./served-files.ts";

const FILM: ServedFile = { fileId: "f1", owner: "north", name: "film", content: Content.of(1, 5_000), damage: [] };
const EMPTY: ServedFile = { fileId: "f2", owner: "north", name: "empty", content: Content.of(2, 0), damage: [] };

/** A gateway that has the two files, but for what a test makes of it. */
class Gateway {
  readonly files: readonly ServedFile[];
  /** What it answers in place of a file's bytes from an offset on. */
  bytesOf = (file: ServedFile, first: number, end: number): Uint8Array => file.content.span(first, end);
  listed = (): readonly ServedFile[] => this.files;
  /** Up to where a span's answer comes before its connection breaks. */
  breaksOffAt = (_first: number, _end: number): number | undefined => undefined;

  constructor(files: readonly ServedFile[] = [FILM, EMPTY]) {
    this.files = files;
  }

  readonly client = {
    open: async (fileId: string, span: { first: number; last: number } | undefined) => {
      const file = this.#find(fileId);
      const first = span?.first ?? 0;
      const end = (span?.last ?? file.content.sizeBytes - 1) + 1;
      const bytes = this.bytesOf(file, first, end);
      const brokenAt = this.breaksOffAt(first, end);
      const come = brokenAt === undefined ? bytes : bytes.subarray(0, brokenAt - first);
      const body = async function* (): AsyncGenerator<Uint8Array> {
        for (let offset = 0; offset < come.length; offset += 1_000) yield come.subarray(offset, offset + 1_000);
        if (come !== bytes) throw new TroupeError("UNAVAILABLE");
      };
      return { first, etag: undefined, body: body() };
    },
    file: async (fileId: string) => this.#find(fileId),
    allFiles: async function* (this: Gateway) {
      yield this.listed().map(({ fileId, name, content }) => ({ fileId, name, size: content.sizeBytes }));
    }.bind(this),
  } as unknown as TroupeClient;

  #find(fileId: string): ServedFile {
    const found = this.files.find((file) => file.fileId === fileId);
    if (found === undefined) throw new TroupeError("FILE_NOT_FOUND");
    return found;
  }

  async breaches(files: readonly ServedFile[], gone: readonly string[], seed: number): Promise<Breach[]> {
    const served = { files, gone: gone.map((fileId) => ({ fileId, owner: "north" })), owners: ["north"] };
    return await servedBreaches("gateway1", () => this.client, served, new RandomStreams(seed).stream("test", "spans"));
  }

  async rules(files: readonly ServedFile[] = this.files, gone: readonly string[] = []): Promise<string[]> {
    return [...new Set((await this.breaches(files, gone, 1)).map(({ rule }) => rule))];
  }
}

test("a gateway that serves what it should breaks no rule", async () => {
  expect(await new Gateway().rules([FILM, EMPTY], ["f3"])).toEqual([]);
});

test("one wrong byte is found, and an answer that is too short or too long", async () => {
  const gateway = new Gateway();
  gateway.bytesOf = (file, first, end) => {
    const bytes = Buffer.from(file.content.span(first, end));
    if (bytes.length > 0) bytes[bytes.length - 1] = (bytes.at(-1) as number) ^ 1;
    return bytes;
  };
  expect(await gateway.rules()).toEqual(["wrong-bytes"]);
  gateway.bytesOf = (file, first, end) => file.content.span(first, end).subarray(1);
  expect(await gateway.rules()).toEqual(["wrong-bytes"]);
  gateway.bytesOf = (file, first, end) => Buffer.concat([file.content.span(first, end), Buffer.alloc(1)]);
  expect(await gateway.rules()).toEqual(["wrong-bytes"]);
});

const LARGE: ServedFile = { fileId: "f4", owner: "north", name: "large", content: Content.of(4, 3 * LEAF_BYTES), damage: [] };
const LEAF_1 = { from: LEAF_BYTES, to: 2 * LEAF_BYTES };

test("an error is right where the disk was damaged, and other bytes are wrong there, too", async () => {
  const gateway = new Gateway();
  gateway.bytesOf = (file, first, end) => {
    if (file.fileId === "f1") throw new TroupeError("BLOB_DAMAGED");
    return file.content.span(first, end);
  };
  expect(await gateway.rules()).toEqual(["file-unreadable"]);
  const damaged = [{ ...FILM, damage: [{ from: 0, to: LEAF_BYTES }] }, EMPTY];
  expect(await gateway.rules(damaged)).toEqual([]);
  gateway.bytesOf = (_, first, end) => Buffer.alloc(end - first);
  expect(await gateway.rules(damaged)).toEqual(["wrong-bytes"]);
});

test("damage explains no other error: nothing is away any more", async () => {
  const gateway = new Gateway();
  gateway.bytesOf = () => {
    throw new TroupeError("UNAVAILABLE");
  };
  expect(await gateway.rules([{ ...FILM, damage: [{ from: 0, to: LEAF_BYTES }] }])).toContain("file-unreadable");
});

test("a damaged leaf explains no error of a span without it, and none behind it", async () => {
  const large = { ...LARGE, damage: [LEAF_1] };
  const gateway = new Gateway([large]);
  const refused: { first: number; end: number }[] = [];
  const meets = ({ first, end }: { first: number; end: number }): boolean => first < LEAF_1.to && end > LEAF_1.from;
  gateway.bytesOf = (file, first, end) => {
    if (!meets({ first, end })) return file.content.span(first, end);
    throw new TroupeError("BLOB_DAMAGED");
  };
  expect(await gateway.rules([large])).toEqual([]);
  gateway.bytesOf = (_, first, end) => {
    refused.push({ first, end });
    throw new TroupeError("BLOB_DAMAGED");
  };
  // Some of so many spans miss the leaf.
  const seeds = Array.from({ length: 20 }, (_, seed) => seed);
  const breaches = (await Promise.all(seeds.map((seed) => gateway.breaches([large], [], seed)))).flat();
  const unexplained = refused.filter((span) => !meets(span));
  expect(unexplained.length).toBeGreaterThan(0);
  expect(breaches.filter(({ rule }) => rule === "file-unreadable")).toHaveLength(unexplained.length);
});

test("an answer may break off before a damaged leaf, and nowhere else", async () => {
  const large = { ...LARGE, damage: [LEAF_1] };
  const gateway = new Gateway([large]);
  const breaksOffAt = (offset: number): void => {
    gateway.breaksOffAt = (first, end) => (first <= offset && offset < end ? offset : undefined);
  };
  breaksOffAt(LEAF_1.from);
  expect(await gateway.rules([large])).toEqual([]);
  breaksOffAt(LEAF_1.to);
  expect(await gateway.rules([large])).toEqual(["file-unreadable"]);
});

test("a little of every file is a span of it, and all of an empty one", async () => {
  const gateway = new Gateway();
  const asked: string[] = [];
  gateway.bytesOf = (file, first, end) => {
    asked.push(file.fileId);
    return file.content.span(first, end);
  };
  const served = { files: [FILM, EMPTY], gone: [], owners: ["north"] };
  const random = new RandomStreams(1).stream("test", "spans");
  expect(await servedBreaches("gateway1", () => gateway.client, served, random, "little")).toEqual([]);
  expect(asked).toEqual(["f1", "f2"]);
});

test("a file that was deleted and is answered is found", async () => {
  expect(await new Gateway().rules([FILM], ["f2"])).toEqual(["deleted-file-there", "listed-wrongly"]);
});

test("a listing that lacks a file, has one twice, or has another name is found", async () => {
  const gateway = new Gateway();
  for (const listed of [[FILM], [FILM, EMPTY, FILM], [FILM, { ...EMPTY, name: "full" }]]) {
    gateway.listed = () => listed;
    expect(await gateway.rules()).toEqual(["listed-wrongly"]);
  }
});
