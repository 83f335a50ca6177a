import { expect, test } from "vitest";
import type { TroupeClient } from "../../../src/client/troupe-client.ts";
import { TroupeError } from "../../../src/core/errors.ts";
import { RandomStreams } from "../random-streams.ts";
import { Content } from "../workload/content.ts";
import { type ServedFile, servedBreaches } from "./served-files.ts";

const FILM: ServedFile = { fileId: "f1", owner: "north", name: "film", content: Content.of(1, 5_000), isDamaged: false };
const EMPTY: ServedFile = { fileId: "f2", owner: "north", name: "empty", content: Content.of(2, 0), isDamaged: false };

/** A gateway that has the two files, but for what a test makes of it. */
class Gateway {
  readonly files = [FILM, EMPTY];
  /** What it answers in place of a file's bytes from an offset on. */
  bytesOf = (file: ServedFile, first: number, end: number): Uint8Array => file.content.span(first, end);
  listed = (): ServedFile[] => this.files;

  readonly client = {
    open: async (fileId: string, span: { first: number; last: number } | undefined) => {
      const file = this.#find(fileId);
      const first = span?.first ?? 0;
      const bytes = this.bytesOf(file, first, (span?.last ?? file.content.sizeBytes - 1) + 1);
      const body = async function* (): AsyncGenerator<Uint8Array> {
        for (let offset = 0; offset < bytes.length; offset += 1_000) yield bytes.subarray(offset, offset + 1_000);
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

  async rules(files: readonly ServedFile[] = [FILM, EMPTY], gone: readonly string[] = []): Promise<string[]> {
    const served = { files, gone: gone.map((fileId) => ({ fileId, owner: "north" })), owners: ["north"] };
    const breaches = await servedBreaches("gateway1", () => this.client, served, new RandomStreams(1).stream("test", "spans"));
    return [...new Set(breaches.map(({ rule }) => rule))];
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

test("an error is right where the disk was damaged, and other bytes are wrong there, too", async () => {
  const gateway = new Gateway();
  gateway.bytesOf = () => {
    throw new TroupeError("BLOB_DAMAGED");
  };
  expect(await gateway.rules()).toEqual(["file-unreadable"]);
  const damaged = [FILM, EMPTY].map((file) => ({ ...file, isDamaged: true }));
  expect(await gateway.rules(damaged)).toEqual([]);
  gateway.bytesOf = (_, first, end) => Buffer.alloc(end - first);
  expect(await gateway.rules(damaged)).toEqual(["wrong-bytes"]);
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
