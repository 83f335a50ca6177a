import { beforeEach, describe, expect, it } from "vitest";
import type { HttpClient, HttpHeaders } from "../../../../src/core/ports/http-exchange.ts";
import { Strikes } from "../../disk/strikes.ts";
import { World } from "../../world.ts";
import { Content } from "../content.ts";
import { History } from "../history.ts";
import { Witness } from "./witness.ts";

const FILE_ID = "6955b900000000aaaaaaaaaaaaaaaa000100";
const OTHER_ID = "6955b900000000bbbbbbbbbbbbbbbb000200";
const CONTENT = Content.of(1, 100_000);
const CHUNK_BYTES = 65_536;

interface Said {
  readonly headers?: HttpHeaders;
  readonly body?: string;
  readonly content?: Content;
  readonly owner?: string;
  readonly gateway?: string;
}

const TAG = '"one"';

/** Whatever is asked is answered with this, one after the other. */
class Answers implements HttpClient {
  readonly next: {
    readonly status: number;
    readonly headers?: HttpHeaders;
    readonly body?: string | Uint8Array;
    readonly breaksOff?: boolean;
  }[] = [];

  async exchange() {
    const { status, headers = {}, body = "", breaksOff = false } = this.next.shift() ?? { status: 204 };
    const blocks = async function* (): AsyncGenerator<Uint8Array> {
      yield typeof body === "string" ? Buffer.from(body) : body;
      if (breaksOff) throw new Error("broken off");
    };
    return { status, headers: { etag: TAG, ...headers }, body: blocks() };
  }

  async close(): Promise<void> {}
}

let world: World;
let history: History;
let answers: Answers;
/** `storage1` has the upload `u1`. */
let disks: Map<string, { strikes: Strikes }>;

beforeEach(() => {
  world = new World(1);
  history = new History();
  answers = new Answers();
  disks = new Map(["storage1", "storage2"].map((name) => [name, { strikes: new Strikes() }]));
  disks.get("storage1")?.strikes.made("/data/troupe/uploads/u1");
});

const strike = (kind: string, path = "uploads/u1/data", storage = "storage1") =>
  disks.get(storage)?.strikes.struck(kind, `/data/troupe/${path}`, world.nowMs);

async function ask(method: string, path: string, said: Said = {}, ...next: Answers["next"]): Promise<void> {
  const { headers = {}, body, content = CONTENT, owner = "north", gateway = "gateway1" } = said;
  answers.next.push(...next);
  const intent = { operation: 0, owner, content };
  const witness = new Witness({ world, history, http: answers, gatewayAt: (host) => `${host}#1`, disks, intent });
  // Time goes on between one exchange and the next.
  await world.scheduler.runUntil(world.nowMs + 10);
  const answer = await witness.exchange({ method, url: `http://${gateway}:8080${path}`, headers, ...(body === undefined ? {} : { body }) });
  await world.scheduler.runUntil(world.nowMs + 10);
  for await (const _ of answer.body);
}

const json = (status: number, value: unknown) => ({ status, body: JSON.stringify(value) });
const problem = (status: number, code: string, facts: object = {}) => json(status, { code, detail: code, ...facts });
const told = (fileId: string, changes: object = {}) => ({
  fileId,
  name: "one.bin",
  size: CONTENT.sizeBytes,
  digest: { blake3: CONTENT.blake3 },
  ...changes,
});
const receiving = (changes: object = {}) => ({
  uploadId: "u1",
  chunkBytes: CHUNK_BYTES,
  state: "receiving",
  missing: [[0, 1]],
  ...changes,
});
const creation = (key: string): Said => ({
  body: JSON.stringify({ name: "one.bin", size: CONTENT.sizeBytes, chunkBytes: CHUNK_BYTES, idempotencyKey: key }),
});
const rules = (): string[] => world.violations.map(({ rule }) => rule);

const create = () => ask("POST", "/api/v1/uploads", creation("k1"), json(201, receiving()));
const send = (index: number, content = CONTENT) =>
  ask("PUT", `/api/v1/uploads/u1/chunks/${index}`, { content }, json(200, { index, receivedCount: 1 }));

async function uploaded(): Promise<void> {
  await create();
  await send(0);
  await send(1);
  await ask("POST", "/api/v1/uploads/u1/merge", {}, json(200, told(FILE_ID)));
}

describe("the witness", () => {
  it("has nothing to say of what is right", async () => {
    await uploaded();
    await ask("GET", `/api/v1/files/${FILE_ID}`, {}, json(200, told(FILE_ID)));
    await ask("GET", `/files/${FILE_ID}`, {}, { status: 200, body: CONTENT.bytes() });
    const range = { "content-range": `bytes 5-9/${CONTENT.sizeBytes}`, "content-length": "5" };
    await ask("GET", `/files/${FILE_ID}`, { headers: { range: "bytes=5-9" } }, { status: 206, headers: range, body: CONTENT.span(5, 10) });
    expect(rules()).toEqual([]);
    expect(history.files.get(FILE_ID)?.content.label).toBe(CONTENT.label);
  });

  it("sees one wrong byte of a file", async () => {
    await uploaded();
    const bytes = Buffer.from(CONTENT.bytes());
    bytes[70_000] = (bytes[70_000] ?? 0) ^ 1;
    await ask("GET", `/files/${FILE_ID}`, {}, { status: 200, body: bytes });
    expect(rules()).toEqual(["wrong-bytes"]);
  });

  it("sees an answer that ends early without an error, and forgives one that breaks off", async () => {
    await uploaded();
    await ask("GET", `/files/${FILE_ID}`, {}, { status: 200, body: CONTENT.span(0, 99), breaksOff: true }).catch(() => undefined);
    expect(rules()).toEqual([]);
    await ask("GET", `/files/${FILE_ID}`, {}, { status: 200, body: CONTENT.span(0, 99) });
    expect(rules()).toEqual(["wrong-length"]);
  });

  it("sees that an acknowledged file is not found, unless somebody asked to delete it", async () => {
    await uploaded();
    const gone = problem(404, "FILE_NOT_FOUND");
    await ask("GET", `/api/v1/files/${FILE_ID}`, { owner: "south" }, gone);
    expect(rules()).toEqual([]);
    await ask("GET", `/api/v1/files/${FILE_ID}`, {}, gone);
    expect(rules()).toEqual(["file-lost"]);
    await ask("DELETE", `/api/v1/files/${FILE_ID}`, {}, problem(504, "DEADLINE_EXCEEDED"));
    await ask("GET", `/api/v1/files/${FILE_ID}`, {}, gone);
    expect(rules()).toEqual(["file-lost"]);
  });

  it("sees a deleted file: at once at that gateway, elsewhere after two seconds", async () => {
    await uploaded();
    await ask("DELETE", `/api/v1/files/${FILE_ID}`, {}, { status: 204 });
    await ask("GET", `/api/v1/files/${FILE_ID}`, { gateway: "gateway2" }, json(200, told(FILE_ID)));
    expect(rules()).toEqual([]);
    await ask("GET", `/api/v1/files/${FILE_ID}`, {}, json(200, told(FILE_ID)));
    expect(rules()).toEqual(["deleted-file-shown"]);
    await world.scheduler.runUntil(world.nowMs + 2_000);
    await ask("GET", `/files/${FILE_ID}`, { gateway: "gateway2" }, { status: 200, body: CONTENT.bytes() });
    expect(rules()).toEqual(["deleted-file-shown", "deleted-file-shown"]);
  });

  it("takes a delete that finds nothing for one that was heard twice: from then on the file is gone, for every gateway in time", async () => {
    await uploaded();
    await ask("DELETE", `/api/v1/files/${FILE_ID}`, {}, problem(404, "FILE_NOT_FOUND"));
    await ask("GET", `/api/v1/files/${FILE_ID}`, {}, json(200, told(FILE_ID)));
    expect(rules()).toEqual([]);
    await world.scheduler.runUntil(world.nowMs + 2_000);
    await ask("GET", `/api/v1/files/${FILE_ID}`, {}, json(200, told(FILE_ID)));
    expect(rules()).toEqual(["deleted-file-shown"]);
  });

  it("sees a range that If-Range forbids, one that it allows and that is not answered, and another tag for the same bytes", async () => {
    await uploaded();
    const get = (ifRange: string, status: 200 | 206, etag = TAG) => {
      const headers = { range: "bytes=0-9", "if-range": ifRange };
      const body = status === 200 ? CONTENT.bytes() : CONTENT.span(0, 10);
      const fields = status === 200 ? {} : { "content-range": `bytes 0-9/${CONTENT.sizeBytes}` };
      return ask("GET", `/files/${FILE_ID}`, { headers }, { status, headers: { etag, ...fields }, body });
    };
    await get(TAG, 206);
    await get('"another"', 200);
    expect(rules()).toEqual([]);
    await get('"another"', 206);
    await get(TAG, 200);
    expect(rules()).toEqual(["wrong-range", "wrong-range"]);
    await get('"two"', 206, '"two"');
    expect(rules()).toEqual(["wrong-range", "wrong-range", "wrong-tag"]);
  });

  it("sees somebody else's file", async () => {
    await uploaded();
    await ask("GET", `/api/v1/files/${FILE_ID}`, { owner: "south" }, json(200, told(FILE_ID)));
    expect(rules()).toEqual(["foreign-file-shown"]);
  });

  it("sees two uploads, or two files, for one key", async () => {
    await uploaded();
    await ask("POST", "/api/v1/uploads/u1/merge", {}, json(200, told(OTHER_ID)));
    await ask("POST", "/api/v1/uploads", creation("k1"), json(201, receiving({ uploadId: "u2" })));
    expect(rules()).toEqual(["two-files-for-one-upload", "two-uploads-for-one-key"]);
  });

  it("sees a file with another digest, size or name than was uploaded", async () => {
    await create();
    await send(0);
    await send(1);
    const changes = { size: 7, name: "two.bin", digest: { blake3: "0".repeat(64) } };
    await ask("POST", "/api/v1/uploads/u1/merge", {}, json(200, told(FILE_ID, changes)));
    expect(rules()).toEqual(["wrong-size", "wrong-digest", "wrong-name"]);
  });

  it("sees an acknowledged chunk that is missing, and one that was written over", async () => {
    await create();
    await send(0);
    await ask("GET", "/api/v1/uploads/u1", {}, json(200, receiving({ missing: [[1, 1]] })));
    expect(rules()).toEqual([]);
    await ask("GET", "/api/v1/uploads/u1", {}, json(200, receiving()));
    await send(0, Content.of(2, CONTENT.sizeBytes));
    expect(rules()).toEqual(["chunk-lost", "chunk-overwritten"]);
  });

  it("sees a conflict of a chunk with itself, and a merge refused for chunks that were acknowledged", async () => {
    await create();
    await send(0);
    await send(1);
    await ask("PUT", "/api/v1/uploads/u1/chunks/0", {}, problem(409, "CHUNK_CONFLICT"));
    await ask("POST", "/api/v1/uploads/u1/merge", {}, problem(409, "UPLOAD_INCOMPLETE", { missing: [[0, 0]] }));
    expect(rules()).toEqual(["unexplained-answer", "unexplained-answer"]);
  });

  it("sees an upload that leaves its end, and one that ends without a reason", async () => {
    await create();
    await ask("DELETE", "/api/v1/uploads/u1", {}, { status: 204 });
    await ask("GET", "/api/v1/uploads/u1", {}, json(200, receiving()));
    expect(rules()).toEqual(["upload-left-its-end"]);
    await ask("POST", "/api/v1/uploads", creation("k2"), json(201, receiving({ uploadId: "u2" })));
    await ask("GET", "/api/v1/uploads/u2", {}, json(200, receiving({ uploadId: "u2", state: "expired" })));
    expect(rules()).toEqual(["upload-left-its-end", "upload-ended-without-reason"]);
  });

  it("takes no error that nobody foresaw", async () => {
    await uploaded();
    await ask("GET", `/api/v1/files/${FILE_ID}`, {}, problem(500, "INTERNAL"));
    expect(rules()).toEqual(["internal-error"]);
  });

  it("takes damage for what destroyed the content's own bytes, and for nothing else", async () => {
    await uploaded();
    const read = () => ask("GET", `/files/${FILE_ID}`, {}, problem(500, "BLOB_DAMAGED"));
    strike("disk.io-error-read");
    strike("disk.sync-error");
    strike("disk.rot", "uploads/u2/data");
    await read();
    expect(rules()).toEqual(["unexplained-damage"]);
    strike("disk.rot", "uploads/u1/leaves");
    await read();
    expect(rules()).toHaveLength(1);
  });

  it("takes a disk's refusal for what hit that disk, and not another one", async () => {
    await create();
    const look = () => ask("GET", "/api/v1/uploads/u1", {}, problem(500, "DISK_FAILED"));
    strike("disk.io-error-read", "blobs/000", "storage2");
    strike("disk.rot");
    await look();
    expect(rules()).toEqual(["unexplained-damage"]);
    strike("disk.sync-error", "blobs/000");
    await look();
    expect(rules()).toHaveLength(1);
    // Whichever node it was to be on.
    await ask("POST", "/api/v1/uploads", creation("k2"), problem(500, "DISK_FAILED"));
    expect(rules()).toHaveLength(1);
    // The next life of the process knows nothing of it.
    await world.scheduler.runUntil(world.nowMs + 10);
    disks.get("storage1")?.strikes.mounted(world.nowMs);
    await look();
    expect(rules()).toHaveLength(2);
  });

  it("takes a lost chunk, and a merge refused for it, for lost bytes of that upload only", async () => {
    await create();
    await send(0);
    await send(1);
    const lose = async (): Promise<void> => {
      await ask("GET", "/api/v1/uploads/u1", {}, json(200, receiving({ missing: [[0, 0]] })));
      await ask("POST", "/api/v1/uploads/u1/merge", {}, problem(409, "UPLOAD_INCOMPLETE", { missing: [[0, 0]] }));
    };
    strike("disk.io-error-read");
    strike("disk.io-error-write");
    strike("disk.lost-write", "uploads/u2/data");
    await lose();
    expect(rules()).toEqual(["chunk-lost", "unexplained-answer"]);
    strike("disk.full", "uploads/u1/journal");
    await lose();
    expect(rules()).toHaveLength(2);
  });

  it("takes another digest than the content's for destroyed bytes of that upload only", async () => {
    await create();
    await send(0);
    await send(1);
    const merge = (upload: string) => {
      strike("disk.misdirected-write", `uploads/${upload}/data`);
      return ask("POST", "/api/v1/uploads/u1/merge", {}, json(200, told(FILE_ID, { digest: { blake3: "0".repeat(64) } })));
    };
    await merge("u2");
    expect(rules()).toEqual(["wrong-digest"]);
    await merge("u1");
    expect(rules()).toHaveLength(1);
  });

  it("takes an upload's failure for what hit its disk, and not another one", async () => {
    await create();
    const fail = () => ask("PUT", "/api/v1/uploads/u1/chunks/0", {}, problem(410, "UPLOAD_FAILED"));
    strike("disk.io-error-write", "uploads/u2/data", "storage2");
    await fail();
    expect(rules()).toEqual(["unexplained-answer"]);
    strike("disk.io-error-write", "blobs/000");
    await fail();
    expect(rules()).toHaveLength(1);
    // Why it failed is told as long as it is asked.
    await world.scheduler.runUntil(world.nowMs + 10);
    disks.get("storage1")?.strikes.mounted(world.nowMs);
    const lastError = { code: "DISK_FAILED", detail: "a failed sync", retryable: false };
    await ask("POST", "/api/v1/uploads/u1/merge", {}, problem(500, "DISK_FAILED", { lastError }));
    expect(rules()).toHaveLength(1);
    expect(history.upload("u1")?.end?.state).toBe("failed");
  });

  it("takes the failure of what is put together from parts for that of another one of the same operation that nobody answered for", async () => {
    const headers = { "upload-concat": "final;/tus/p1 /tus/p2" };
    const joined = (...next: Answers["next"]) => ask("POST", "/tus/", { headers }, ...next);
    await joined(problem(410, "UPLOAD_FAILED"));
    expect(rules()).toEqual(["unexplained-answer"]);
    history.uploads.length = 0;
    await joined({ status: 201, headers: { location: "/tus/t1" } });
    await joined(problem(410, "UPLOAD_FAILED"));
    expect(rules()).toEqual(["unexplained-answer", "unexplained-answer"]);
    history.uploads.length = 0;
    await joined({ status: 503, breaksOff: true }).catch(() => undefined);
    await joined(problem(410, "UPLOAD_FAILED"));
    expect(rules()).toHaveLength(2);
  });

  it("takes no merge's failure for good that nothing explains", async () => {
    await create();
    const lastError = { code: "DISK_FAILED", detail: "a failed sync", retryable: false };
    await ask("POST", "/api/v1/uploads/u1/merge", {}, problem(500, "DISK_FAILED", { lastError }));
    expect(rules()).toEqual(["unexplained-answer"]);
  });

  it("sees an upload by tus that is cancelled once it is known, unless it was part of another one", async () => {
    const headers = { "upload-length": String(CONTENT.sizeBytes), "upload-metadata": "filename b25lLmJpbg==" };
    const gone = problem(410, "UPLOAD_CANCELLED");
    await ask("POST", "/tus/", { headers }, gone);
    expect(rules()).toEqual([]);
    for (const id of ["t1", "t2"]) await ask("POST", "/tus/", { headers }, { status: 201, headers: { location: `/tus/${id}` } });
    await ask("POST", "/tus/", { headers: { "upload-concat": "final;/tus/t1" } }, { status: 201, headers: { location: "/tus/t3" } });
    await ask("HEAD", "/tus/t1", {}, { status: 410 });
    expect(rules()).toEqual([]);
    await ask("HEAD", "/tus/t2", {}, { status: 410 });
    expect(rules()).toEqual(["unexplained-answer"]);
  });

  it("takes a full disk's refusal while one is full and a while after it, and for what was begun by then", async () => {
    const full = () => ask("POST", "/api/v1/uploads", creation("k9"), problem(507, "DISK_FULL"));
    await full();
    expect(rules()).toEqual(["unexplained-answer"]);
    disks.get("storage2")?.strikes.filled();
    await full();
    await create();
    disks.get("storage2")?.strikes.emptied(world.nowMs);
    await world.scheduler.runUntil(world.nowMs + 59_000);
    await full();
    expect(rules()).toHaveLength(1);
    await world.scheduler.runUntil(world.nowMs + 1_000);
    await full();
    expect(rules()).toHaveLength(2);
    await ask("POST", "/api/v1/uploads/u1/merge", {}, problem(507, "DISK_FULL"));
    expect(rules()).toHaveLength(2);
  });

  it("sees bytes that tus acknowledged and does not have", async () => {
    const headers = { "upload-length": String(CONTENT.sizeBytes), "upload-metadata": "filename b25lLmJpbg==" };
    await ask("POST", "/tus/", { headers }, { status: 201, headers: { location: "/tus/t1" } });
    const piece = { headers: { "upload-offset": "0", "content-length": "5000" } };
    await ask("PATCH", "/tus/t1", piece, { status: 204, headers: { "upload-offset": "5000" } });
    await ask("HEAD", "/tus/t1", {}, { status: 200, headers: { "upload-offset": "5000" } });
    expect(rules()).toEqual([]);
    const tellLess = () => ask("HEAD", "/tus/t1", {}, { status: 200, headers: { "upload-offset": "4000" } });
    strike("disk.rot");
    await tellLess();
    expect(rules()).toEqual(["bytes-lost"]);
    disks.get("storage2")?.strikes.made("/data/troupe/uploads/t1");
    strike("disk.sync-error", "uploads/t1/data", "storage2");
    await tellLess();
    expect(rules()).toHaveLength(1);
  });
});
