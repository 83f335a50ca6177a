/** The uploader before a gateway that breaks in many ways. */
import { appendFile, writeFile } from "node:fs/promises";
import { describe, expect, it } from "vitest";
import { Slots } from "../../src/client/slots.ts";
import { type BegunUpload, type TransferProgress, uploadFile } from "../../src/client/uploader.ts";
import { TroupeError } from "../../src/core/errors.ts";
import { CHUNK_BYTES_MIN } from "../../src/core/limits.ts";
import { type MemoryGateway, problem, readAll } from "./memory-gateway.ts";
import { clientRig, failureOf } from "./rig.ts";

const CHUNK = CHUNK_BYTES_MIN;
const CHUNK_PUT = /^PUT .*\/chunks\//;
const chunkPut = (index: number) => `PUT /api/v1/uploads/u1/chunks/${index}`;
const storedBytes = (gateway: MemoryGateway): Buffer | undefined => [...gateway.files.values()][0]?.bytes;

describe("an upload", () => {
  it.each([0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 5 * CHUNK + 17])("of %i bytes arrives exactly", async (sizeBytes) => {
    await using rig = await clientRig();
    const { path, bytes } = await rig.file("a.bin", sizeBytes);
    const file = await uploadFile(rig.client, rig.ports, { path, name: "a.bin", chunkBytes: CHUNK });
    expect(file).toMatchObject({ name: "a.bin", size: sizeBytes });
    expect(storedBytes(rig.gateway)?.equals(bytes)).toBe(true);
    expect(rig.gateway.count(CHUNK_PUT)).toBe(Math.ceil(sizeBytes / CHUNK));
  });

  it("keeps as many chunks on their way as it was told, and no more", async () => {
    for (const parallel of [1, 3]) {
      await using rig = await clientRig();
      const { path } = await rig.file("a.bin", 12 * CHUNK);
      await uploadFile(rig.client, rig.ports, { path, name: "a", chunkBytes: CHUNK, slots: new Slots(parallel) });
      expect(rig.gateway.inFlightMax).toBe(parallel);
    }
  });

  it("tells its progress up to the last byte, and then what the server does", async () => {
    await using rig = await clientRig();
    const { path } = await rig.file("a.bin", 4 * CHUNK + 5);
    const told: TransferProgress[] = [];
    await uploadFile(rig.client, rig.ports, { path, name: "a", chunkBytes: CHUNK, onProgress: (progress) => told.push(progress) });
    expect(told.every(({ doneBytes, totalBytes }) => doneBytes >= 0 && doneBytes <= totalBytes)).toBe(true);
    expect(told.filter(({ state }) => state === "receiving").at(-1)?.doneBytes).toBe(4 * CHUNK + 5);
    expect(told.some(({ state }) => state === "verifying")).toBe(true);
  });

  it("is answered at once when the server knows the content", async () => {
    await using rig = await clientRig();
    const { path } = await rig.file("a.bin", 2 * CHUNK);
    const first = await uploadFile(rig.client, rig.ports, { path, name: "a", chunkBytes: CHUNK });
    rig.gateway.before = (seen) =>
      seen === "POST /api/v1/uploads"
        ? {
            ...problem(200, ""),
            body: (async function* () {
              yield Buffer.from(JSON.stringify({ ...first, instant: true }));
            })(),
          }
        : undefined;
    rig.gateway.seen.length = 0;
    expect(await uploadFile(rig.client, rig.ports, { path, name: "a" })).toMatchObject({ fileId: first.fileId });
    expect(rig.gateway.count(CHUNK_PUT)).toBe(0);
  });
});

describe("after a failure", () => {
  it("a chunk answered 503 is sent again, after the pause the server asked for", async () => {
    await using rig = await clientRig();
    const { path, bytes } = await rig.file("a.bin", 4 * CHUNK);
    let failures = 2;
    rig.gateway.before = (seen) => (seen === chunkPut(2) && failures-- > 0 ? problem(503, "BUSY", {}, { "retry-after": "7" }) : undefined);
    await uploadFile(rig.client, rig.ports, { path, name: "a", chunkBytes: CHUNK });
    expect(storedBytes(rig.gateway)?.equals(bytes)).toBe(true);
    expect(rig.clock.pausesMs.filter((pauseMs) => pauseMs === 7000)).toHaveLength(2);
    expect(rig.gateway.count(CHUNK_PUT)).toBe(6);
  });

  it("a chunk whose connection broke in the middle of its body is sent again", async () => {
    await using rig = await clientRig();
    const { path, bytes } = await rig.file("a.bin", 3 * CHUNK);
    let isFirst = true;
    rig.gateway.before = async (seen, request) => {
      if (seen !== chunkPut(1) || !isFirst) return undefined;
      isFirst = false;
      await readAll(request.body);
      throw new TroupeError("UNAVAILABLE", "The connection was reset.");
    };
    const told: number[] = [];
    await uploadFile(rig.client, rig.ports, { path, name: "a", chunkBytes: CHUNK, onProgress: ({ doneBytes }) => told.push(doneBytes) });
    expect(storedBytes(rig.gateway)?.equals(bytes)).toBe(true);
    expect(Math.max(...told)).toBe(3 * CHUNK);
  });

  it("a chunk that had arrived before its answer was lost is not sent again", async () => {
    await using rig = await clientRig();
    const { path, bytes } = await rig.file("a.bin", 4 * CHUNK);
    const lost = new Set([chunkPut(0), chunkPut(3)]);
    rig.gateway.after = (seen, response) => {
      if (lost.delete(seen)) throw new TroupeError("UNAVAILABLE", "The answer was lost.");
      return response;
    };
    await uploadFile(rig.client, rig.ports, { path, name: "a", chunkBytes: CHUNK });
    expect(rig.gateway.count(CHUNK_PUT)).toBe(4);
    expect(storedBytes(rig.gateway)?.equals(bytes)).toBe(true);
  });

  it("an upload whose creation was answered into the void is not created twice", async () => {
    await using rig = await clientRig();
    const { path } = await rig.file("a.bin", CHUNK);
    let isFirst = true;
    rig.gateway.after = (seen, response) => {
      if (seen !== "POST /api/v1/uploads" || !isFirst) return response;
      isFirst = false;
      throw new TroupeError("UNAVAILABLE", "The answer was lost.");
    };
    await uploadFile(rig.client, rig.ports, { path, name: "a", chunkBytes: CHUNK });
    expect(rig.gateway.uploads.size).toBe(1);
  });

  it("chunks a server lost before the merge are sent before it is asked again", async () => {
    await using rig = await clientRig();
    const { path, bytes } = await rig.file("a.bin", 4 * CHUNK);
    let isFirst = true;
    rig.gateway.before = (seen) => {
      if (seen === "POST /api/v1/uploads/u1/merge" && isFirst) {
        isFirst = false;
        rig.gateway.uploads.get("u1")?.chunks.delete(2);
      }
      return undefined;
    };
    await uploadFile(rig.client, rig.ports, { path, name: "a", chunkBytes: CHUNK });
    expect(rig.gateway.seen.filter((seen) => seen === chunkPut(2))).toHaveLength(2);
    expect(rig.gateway.count(CHUNK_PUT)).toBe(5);
    expect(storedBytes(rig.gateway)?.equals(bytes)).toBe(true);
  });

  it("F22: a merge whose answer was lost gives the file all the same", async () => {
    await using rig = await clientRig();
    const { path } = await rig.file("a.bin", CHUNK);
    let failures = 3;
    rig.gateway.after = (seen, response) => {
      if (!seen.endsWith("/merge") || failures-- <= 0) return response;
      throw new TroupeError("UNAVAILABLE", "The answer was lost.");
    };
    expect(await uploadFile(rig.client, rig.ports, { path, name: "a" })).toMatchObject({ size: CHUNK });
    expect(rig.gateway.files.size).toBe(1);
  });

  it("a list of missing chunks that was cut is asked for again until it is empty", async () => {
    await using rig = await clientRig();
    rig.gateway.missingRangesMax = 2;
    const { path, bytes } = await rig.file("a.bin", 9 * CHUNK);
    const opened = await rig.client.create({ name: "a", size: bytes.length, chunkBytes: CHUNK, idempotencyKey: "k" });
    for (const index of [1, 3, 5, 7]) rig.gateway.uploads.get("u1")?.chunks.set(index, bytes.subarray(index * CHUNK, (index + 1) * CHUNK));
    expect(opened.kind).toBe("upload");
    await uploadFile(rig.client, rig.ports, { path, name: "a", resume: "u1" });
    expect(rig.gateway.seen.filter((seen) => CHUNK_PUT.test(seen)).sort()).toEqual([0, 1, 2, 4, 6, 8].map(chunkPut));
    expect(storedBytes(rig.gateway)?.equals(bytes)).toBe(true);
  });

  it("a list that was cut before the failed chunk does not pass for its arrival", async () => {
    await using rig = await clientRig();
    rig.gateway.missingRangesMax = 1;
    const { path } = await rig.file("a.bin", 9 * CHUNK);
    await rig.client.create({ name: "a", size: 9 * CHUNK, chunkBytes: CHUNK, idempotencyKey: "k" });
    let isFirst = true;
    rig.gateway.before = (seen) => {
      if (!isFirst || seen !== "PUT /api/v1/uploads/u2/chunks/8") return undefined;
      isFirst = false;
      // Only the hole before it is listed.
      rig.gateway.uploads.get("u2")?.chunks.delete(0);
      return problem(503, "BUSY");
    };
    await uploadFile(rig.client, rig.ports, { path, name: "a", chunkBytes: CHUNK, slots: new Slots(1) });
    expect(rig.gateway.seen.filter((seen) => seen === "PUT /api/v1/uploads/u2/chunks/8")).toHaveLength(2);
    expect(rig.gateway.seen.filter((seen) => seen.endsWith("/merge"))).toHaveLength(2);
  });

  it("it gives up in the end, with every lane stopped", async () => {
    await using rig = await clientRig();
    const { path } = await rig.file("a.bin", 8 * CHUNK);
    rig.gateway.before = (seen) => (seen === chunkPut(3) ? problem(503, "UNAVAILABLE") : undefined);
    const error = await failureOf(uploadFile(rig.client, rig.ports, { path, name: "a", chunkBytes: CHUNK }));
    expect(error.code).toBe("UNAVAILABLE");
    expect(rig.gateway.seen.filter((seen) => seen === chunkPut(3))).toHaveLength(10);
    expect(rig.gateway.inFlight).toBe(0);
    expect(rig.gateway.files.size).toBe(0);
  });

  it("of one chunk for good, the other lanes send no further chunks", async () => {
    await using rig = await clientRig();
    const { path } = await rig.file("a.bin", 60 * CHUNK);
    rig.gateway.before = (seen) => (seen === chunkPut(0) ? problem(401, "UNAUTHORIZED") : undefined);
    await failureOf(uploadFile(rig.client, rig.ports, { path, name: "a", chunkBytes: CHUNK, slots: new Slots(2) }));
    expect(rig.gateway.count(CHUNK_PUT)).toBeLessThan(10);
  });

  it("nobody there is told soon when nothing was begun", async () => {
    await using rig = await clientRig();
    const { path } = await rig.file("a.bin", CHUNK);
    rig.gateway.before = () => {
      throw new TroupeError("UNAVAILABLE", "connection refused");
    };
    const error = await failureOf(uploadFile(rig.client, rig.ports, { path, name: "a" }));
    expect(error).toMatchObject({ code: "UNAVAILABLE", facts: { unreachable: true } });
    expect(rig.gateway.seen).toHaveLength(3);
  });

  it("I23: a token that expires in the middle ends it at once, and what was sent stays for a resumption", async () => {
    await using rig = await clientRig();
    const { path, bytes } = await rig.file("a.bin", 6 * CHUNK);
    rig.gateway.before = (seen) => (/chunks\/[3-5]$/.test(seen) ? problem(401, "UNAUTHORIZED") : undefined);
    const ids: string[] = [];
    const plan = {
      path,
      name: "a",
      chunkBytes: CHUNK,
      slots: new Slots(1),
      onUpload: ({ uploadId }: BegunUpload) => void ids.push(uploadId),
    };
    expect((await failureOf(uploadFile(rig.client, rig.ports, plan))).code).toBe("UNAUTHORIZED");
    expect(rig.gateway.count(CHUNK_PUT)).toBe(4);
    rig.gateway.before = () => undefined;
    rig.gateway.seen.length = 0;
    await uploadFile(rig.client, rig.ports, { ...plan, resume: ids[0] });
    expect(rig.gateway.seen.filter((seen) => CHUNK_PUT.test(seen))).toEqual([0, 2, 3, 4, 5].map(chunkPut));
    expect(storedBytes(rig.gateway)?.equals(bytes)).toBe(true);
  });
});

describe("an upload that somebody else goes on with, too", () => {
  it.each([
    ["is compared", chunkPut(0)],
    ["is sent", chunkPut(2)],
    ["is about to be merged", "POST /api/v1/uploads/u1/merge"],
  ])("gives its file to both when the other merges it while a chunk %s", async (_, moment) => {
    await using rig = await clientRig();
    const { path, bytes } = await rig.file("a.bin", 4 * CHUNK);
    await rig.client.create({ name: "a", size: bytes.length, chunkBytes: CHUNK, idempotencyKey: "k" });
    const upload = rig.gateway.uploads.get("u1");
    upload?.chunks.set(0, bytes.subarray(0, CHUNK));
    let isFirst = true;
    rig.gateway.before = async (seen) => {
      if (seen !== moment || !isFirst) return undefined;
      isFirst = false;
      await uploadFile(rig.client, rig.ports, { path, name: "a", begun: "u1" });
      return undefined;
    };
    const file = await uploadFile(rig.client, rig.ports, { path, name: "a", begun: "u1", slots: new Slots(1) });
    expect(rig.gateway.files.size).toBe(1);
    expect(storedBytes(rig.gateway)?.equals(bytes)).toBe(true);
    expect(file.size).toBe(bytes.length);
  });
});

describe("a resumed upload", () => {
  it("sends nothing when it has become a file already", async () => {
    await using rig = await clientRig();
    const { path } = await rig.file("a.bin", 2 * CHUNK);
    const plan = { path, name: "a", chunkBytes: CHUNK };
    const file = await uploadFile(rig.client, rig.ports, plan);
    rig.gateway.seen.length = 0;
    expect(await uploadFile(rig.client, rig.ports, { ...plan, resume: "u1" })).toMatchObject({ fileId: file.fileId });
    expect(rig.gateway.seen.some((seen) => seen.startsWith("PUT"))).toBe(false);
  });

  it.each([
    ["the first chunk", [0, 1], 0],
    ["the last chunk the server has", [0, 1], CHUNK],
    ["the only chunk, in the middle", [2], 2 * CHUNK],
    ["the first of a whole upload that was never merged", [0, 1, 2, 3], 5],
  ])("is refused for a file of the same size that differs in %s, and nothing is sent or merged", async (_, received, offset) => {
    await using rig = await clientRig();
    const { path, bytes } = await rig.file("a.bin", 4 * CHUNK);
    await rig.client.create({ name: "a", size: bytes.length, chunkBytes: CHUNK, idempotencyKey: "k" });
    for (const index of received)
      rig.gateway.uploads.get("u1")?.chunks.set(index, Buffer.from(bytes.subarray(index * CHUNK, (index + 1) * CHUNK)));
    bytes[offset] = (bytes[offset] ?? 0) ^ 1;
    await writeFile(path, bytes);
    const error = await failureOf(uploadFile(rig.client, rig.ports, { path, name: "a", resume: "u1" }));
    expect(error).toMatchObject({ code: "PRECONDITION_FAILED", detail: expect.stringContaining("is not the file that upload u1") });
    expect(rig.gateway.uploads.get("u1")).toMatchObject({ state: "receiving", chunks: { size: received.length } });
    expect(rig.gateway.count(/merge$/)).toBe(0);
  });

  it("that has become another file is told, without advice to delete it", async () => {
    await using rig = await clientRig();
    const { path } = await rig.file("a.bin", CHUNK);
    await uploadFile(rig.client, rig.ports, { path, name: "a" });
    await writeFile(path, Buffer.alloc(CHUNK));
    const error = await failureOf(uploadFile(rig.client, rig.ports, { path, name: "a", resume: "u1" }));
    expect(error).toMatchObject({ code: "DIGEST_MISMATCH", detail: expect.stringContaining("what upload u1 was begun with") });
    expect(error.detail).not.toContain("Delete");
  });

  it("is compared again after a comparison that got no answer", async () => {
    await using rig = await clientRig();
    const { path, bytes } = await rig.file("a.bin", 2 * CHUNK);
    await rig.client.create({ name: "a", size: bytes.length, chunkBytes: CHUNK, idempotencyKey: "k" });
    rig.gateway.uploads.get("u1")?.chunks.set(0, Buffer.alloc(CHUNK));
    let failures = 2;
    rig.gateway.before = (seen) => (seen === chunkPut(0) && failures-- > 0 ? problem(503, "BUSY") : undefined);
    expect((await failureOf(uploadFile(rig.client, rig.ports, { path, name: "a", resume: "u1" }))).code).toBe("PRECONDITION_FAILED");
  });

  it("is refused for a file of another size, and after it was cancelled", async () => {
    await using rig = await clientRig();
    const { path } = await rig.file("a.bin", 2 * CHUNK);
    await rig.client.create({ name: "a", size: CHUNK, idempotencyKey: "k" });
    expect((await failureOf(uploadFile(rig.client, rig.ports, { path, name: "a", resume: "u1" }))).code).toBe("PRECONDITION_FAILED");
    await rig.client.cancel("u1");
    await writeFile(path, Buffer.alloc(CHUNK));
    expect((await failureOf(uploadFile(rig.client, rig.ports, { path, name: "a", resume: "u1" }))).code).toBe("UPLOAD_CANCELLED");
  });
});

describe("a file that is not what it was", () => {
  it("is noticed when it changes while it is sent", async () => {
    await using rig = await clientRig();
    const { path } = await rig.file("a.bin", 3 * CHUNK);
    rig.gateway.before = async (seen) => {
      if (seen === chunkPut(2)) await appendFile(path, "more");
      return undefined;
    };
    expect((await failureOf(uploadFile(rig.client, rig.ports, { path, name: "a", chunkBytes: CHUNK }))).code).toBe("PRECONDITION_FAILED");
    expect(rig.gateway.files.size).toBe(0);
  });

  it("is an error when it becomes shorter", async () => {
    await using rig = await clientRig();
    const { path } = await rig.file("a.bin", 3 * CHUNK);
    rig.gateway.before = async (seen) => {
      if (seen === chunkPut(0)) await writeFile(path, "short");
      return undefined;
    };
    const error = await failureOf(uploadFile(rig.client, rig.ports, { path, name: "a", chunkBytes: CHUNK, slots: new Slots(1) }));
    expect(["DISK_FAILED", "PRECONDITION_FAILED"]).toContain(error.code);
    expect(rig.gateway.files.size).toBe(0);
  });

  it("is told when the server stored something else, with the ID of what it stored", async () => {
    await using rig = await clientRig();
    const { path } = await rig.file("a.bin", 2 * CHUNK);
    rig.gateway.before = (seen) => {
      if (seen.endsWith("/merge")) rig.gateway.uploads.get("u1")?.chunks.set(1, Buffer.alloc(CHUNK));
      return undefined;
    };
    const error = await failureOf(uploadFile(rig.client, rig.ports, { path, name: "a", chunkBytes: CHUNK }));
    expect(error).toMatchObject({ code: "DIGEST_MISMATCH", facts: { fileId: [...rig.gateway.files.keys()][0] } });
  });

  it("is an error when there is none, or it is a directory", async () => {
    await using rig = await clientRig();
    for (const name of ["nothing", "."]) {
      const error = await failureOf(uploadFile(rig.client, rig.ports, { path: rig.path(name), name: "a" }));
      expect(error.code).toBe("DISK_FAILED");
    }
    expect(rig.gateway.seen).toEqual([]);
  });
});

describe("the caller's signal", () => {
  it("stops every lane, and the error is CANCELLED", async () => {
    await using rig = await clientRig();
    const { path } = await rig.file("a.bin", 8 * CHUNK);
    const controller = new AbortController();
    rig.gateway.before = (seen) => {
      if (seen === chunkPut(4)) controller.abort();
      return undefined;
    };
    const error = await failureOf(uploadFile(rig.client, rig.ports, { path, name: "a", chunkBytes: CHUNK, signal: controller.signal }));
    expect(error.code).toBe("CANCELLED");
    expect(rig.gateway.inFlight).toBe(0);
    expect(rig.gateway.uploads.get("u1")?.state).toBe("receiving");
  });

  it("stops a merge that is being waited for", async () => {
    await using rig = await clientRig();
    rig.gateway.mergePolls = Number.POSITIVE_INFINITY;
    const { path } = await rig.file("a.bin", CHUNK);
    const controller = new AbortController();
    const onProgress = ({ state }: TransferProgress): void => {
      if (state === "verifying") controller.abort();
    };
    expect((await failureOf(uploadFile(rig.client, rig.ports, { path, name: "a", signal: controller.signal, onProgress }))).code).toBe(
      "CANCELLED",
    );
  });
});
