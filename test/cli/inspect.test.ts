import { readFile } from "node:fs/promises";
import { describe, expect, it } from "vitest";
import { createMachine } from "xstate";
import { body, storeRig } from "./store-rig.ts";

const KIB64 = 65_536;
const BYTES = Buffer.alloc(2 * KIB64, "a film ");

async function begun(rig: Awaited<ReturnType<typeof storeRig>>): Promise<string> {
  const wish = { name: "film.mp4", size: BYTES.length, chunkBytes: KIB64, idempotencyKey: "once" };
  const created = await rig.client.create(wish);
  if (created.kind !== "upload") throw new Error("nobody has it");
  await rig.client.chunk(created.upload.uploadId, 0, KIB64, body(BYTES.subarray(0, KIB64)));
  return created.upload.uploadId;
}

describe("inspect", () => {
  it("says first why an upload waits, then what it is in, since when, and what happened", async () => {
    await using rig = await storeRig();
    const uploadId = await begun(rig);
    const { code, out, err } = await rig.run(["inspect", uploadId]);
    expect([code, err]).toEqual([0, ""]);
    expect(out.split("\n")[0]).toMatch(/^why {9}It waits for its client: 1 chunk is missing/);
    expect(out).toMatch(/^state {7}receiving \(chunks\.receiving\) since \d{4}-\d\d-\d\d \d\d:\d\d, for /m);
    expect(out).toMatch(/^progress {4}1 of 2 chunks received, 64\.0 KiB of 128 KiB$/m);
    expect(out).toMatch(/^times {7}init \S+, chunks\.receiving /m);
    expect(out).toMatch(/init -> chunks\.receiving\s+session\.opened\n/);
    // A disk that is slow makes two lines of it.
    expect(out).toMatch(/chunks\.receiving\s+chunk\.claimed(, |\n.*)chunk\.received {2}receivedCount 0 -> 1\n/);
  });

  it("as JSON has all there is", async () => {
    await using rig = await storeRig();
    const uploadId = await begun(rig);
    const told = JSON.parse((await rig.run(["--json", "inspect", uploadId])).out);
    expect(told).toMatchObject({
      uploadId,
      upload: { state: "receiving" },
      machine: { state: "chunks.receiving" },
      why: expect.any(String),
    });
  });

  it("tells of an upload that has ended what it went through", async () => {
    await using rig = await storeRig();
    const uploadId = await begun(rig);
    await rig.client.cancel(uploadId);
    const { code, out } = await rig.run(["inspect", uploadId]);
    expect(code).toBe(0);
    expect(out).toMatch(/^why {9}It was cancelled/);
    expect(out).toMatch(/chunks\.receiving -> cancelled\s+cancel\.requested/);
  });

  it.each(["nobodysnobodysnobodysn"])("ends with 3 for an upload that is not there", async (id) => {
    await using rig = await storeRig();
    expect(await rig.run(["inspect", id])).toMatchObject({ code: 3, out: "", err: expect.stringContaining("troupe uploads") });
    expect(await rig.run(["inspect", id, "--follow"])).toMatchObject({ code: 3, out: "" });
    expect((await rig.run(["inspect", "--follow"])).code).toBe(2);
    expect((await rig.run(["inspect", id, "--svg", "a.svg", "--mermaid"])).code).toBe(2);
  });

  it.each([
    ["lines", false],
    ["a bar and lines", true],
  ])("--follow tells each event once, as %s, and ends with the upload", async (_, isTerminal) => {
    await using rig = await storeRig();
    const uploadId = await begun(rig);
    const following = rig.run(["inspect", uploadId, "--follow"], { isTerminal });
    await rig.client.chunk(uploadId, 1, KIB64, body(BYTES.subarray(KIB64)));
    await rig.client.merge(uploadId, true);
    const { code, out } = await following;
    expect(code).toBe(0);
    expect(out.match(/-> merge\.verifying/g)).toHaveLength(1);
    expect(out.match(/-> merged/g)).toHaveLength(1);
    expect(out.trimEnd().split("\n").at(-1)).toBe("It waits for nothing: it has become a file.");
    expect(rig.bars.map(({ label, totalBytes, stopped }) => [label, totalBytes, stopped])).toEqual(
      isTerminal ? [["film.mp4", 2, true]] : [],
    );
  });

  it("--follow --json is one object a line, and the last says how it ended", async () => {
    await using rig = await storeRig();
    const uploadId = await begun(rig);
    const following = rig.run(["--json", "inspect", uploadId, "--follow"]);
    await rig.client.cancel(uploadId);
    const { code, out } = await following;
    const lines = out
      .trimEnd()
      .split("\n")
      .map((line) => JSON.parse(line));
    expect(code).toBe(0);
    expect(lines.every((line) => line.uploadId === uploadId)).toBe(true);
    expect(lines.at(-1)).toMatchObject({ event: "inspection", upload: { state: "cancelled" } });
  });

  it("--svg writes the chart with the live state, times and counts, over what was there", async () => {
    await using rig = await storeRig();
    const uploadId = await begun(rig);
    for (let time = 0; time < 2; time += 1)
      expect(await rig.run(["inspect", uploadId, "--svg", "now.svg"])).toEqual({ code: 0, out: "", err: "" });
    const written = await readFile(rig.path("now.svg"), "utf8");
    const { out } = await rig.run(["inspect", uploadId, "--svg", "-"]);
    for (const svg of [written, out]) {
      expect(svg).toMatch(/^<svg .*\n/);
      expect(svg).toContain("Statechart of upload, in chunks.receiving");
      expect(svg).toMatch(/class="state atomic visited live" data-path="chunks\.receiving"/);
      expect(svg).toContain('class="count"');
      expect(svg).toContain('class="time"');
    }
    expect((await rig.run(["inspect", "--svg", "-"])).out).not.toContain('class="count"');
  });

  it("--mermaid is the machine, with the current state marked by a class", async () => {
    await using rig = await storeRig();
    const uploadId = await begun(rig);
    const { out } = await rig.run(["inspect", uploadId, "--mermaid"]);
    expect(out).toMatch(/^stateDiagram-v2\n/);
    expect(out).toMatch(/\n {2}class chunks_receiving_\d+ live\n$/);
    const plain = await rig.run(["inspect", "--mermaid"]);
    expect(out.startsWith(plain.out.trimEnd())).toBe(true);
    expect(plain.out).not.toContain("classDef");
  });

  it("--machine json is what xstate makes the same machine of, and asks nobody", async () => {
    await using rig = await storeRig();
    const { code, out } = await rig.run(["inspect", "--machine", "json"]);
    expect(code).toBe(0);
    expect(Object.keys(createMachine(JSON.parse(out)).states)).toEqual(
      expect.arrayContaining(["init", "chunks", "merge", "merged", "failed"]),
    );
    expect((await rig.run(["inspect", "--machine", "xml"])).code).toBe(2);
  });
});

describe("actors", () => {
  it("are listed with how they are, and how many processes answered", async () => {
    await using rig = await storeRig();
    const uploadId = await begun(rig);
    const { code, out, err } = await rig.run(["actors"]);
    expect([code, err]).toEqual([0, "1 process answered.\n"]);
    expect(out.split("\n")[0]).toMatch(/^PROCESS +ACTOR +STATE +SINCE +TURNS +WAITING +DEFERRED +CRASHES +DEAD$/);
    for (const actor of ["tracker", "ids", "catalog", `storage.${rig.troupe.node.nodeId}`, `upload.${uploadId}`])
      expect(out).toContain(` ${actor} `);
  });

  it("of one kind are listed alone", async () => {
    await using rig = await storeRig();
    const uploadId = await begun(rig);
    const { out, err } = await rig.run(["actors", "upload"]);
    expect(
      out
        .trimEnd()
        .split("\n")
        .slice(1)
        .map((line) => line.split(/ +/)[1]),
    ).toEqual([`upload.${uploadId}`]);
    expect(err).toBe("1 process answered that has such actors.\n");
    expect(await rig.run(["actors", "nobody"])).toMatchObject({
      code: 0,
      out: "",
      err: "No process that answered has an actor called nobody.\n",
    });
    const { processes } = JSON.parse((await rig.run(["--json", "actors", "catalog"])).out);
    expect(processes[0].actors[0]).toMatchObject({ actor: "catalog", crashes: 0 });
  });
});

describe("trace", () => {
  it("of an upload by the command line is one trace, across all actors", async () => {
    await using rig = await storeRig();
    const { path } = await rig.file("clip.bin", 5 * KIB64);
    const uploaded = await rig.run(["upload", path, "--chunk", "64KiB"]);
    expect(uploaded.code).toBe(0);
    const { uploads } = JSON.parse((await rig.run(["--json", "uploads", "--all"])).out);
    const { uploadId } = uploads[0];
    const { code, out, err } = await rig.run(["trace", uploadId], { columns: 140 });
    expect([code, err]).toEqual([0, "1 process answered, 1 of them took part.\n"]);
    expect(out).toMatch(/^trace [0-9a-f]{32}, from \d\d:\d\d:\d\d\.\d{3}, /);
    for (const name of [
      "POST /api/v1/uploads",
      "tracker.place",
      "storage.createUpload",
      "catalog.registerUpload",
      "upload.merge",
      "catalog.commitFile",
    ])
      expect(out).toContain(name);
    // Chunks that are alike are one line.
    expect(out.match(/PUT \/api\/v1\/uploads\/:uploadId\/chunks\/:index/g)).toHaveLength(1);
    expect(out).toMatch(/PUT \/api\/v1\/uploads\/:uploadId\/chunks\/:index {2}x5, the longest \S+\n/);
    const report = JSON.parse((await rig.run(["--json", "trace", uploadId])).out);
    expect(new Set(report.spans.map(({ traceId }: { traceId: string }) => traceId)).size).toBe(1);
  });

  it("fits into a narrow terminal by leaving out the bar, and then the process", async () => {
    await using rig = await storeRig();
    const uploadId = await begun(rig);
    const shown = async (columns: number) => (await rig.run(["trace", uploadId], { columns })).out.split("\n").slice(1).join("\n");
    expect(await shown(120)).toMatch(/\[[.#>]{20}\]/);
    expect(await shown(80)).not.toMatch(/\[[.#>]{20}\]/);
    expect(await shown(80)).toContain(rig.troupe.node.nodeId);
    expect(await shown(60)).not.toContain(rig.troupe.node.nodeId);
  });

  it("ends with 3 where nobody remembers anything", async () => {
    await using rig = await storeRig();
    expect(await rig.run(["trace", "nobodysnobodysnobodysn"])).toMatchObject({ code: 3, out: "" });
    expect((await rig.run(["trace", "not an ID"])).code).toBe(2);
  });
});
