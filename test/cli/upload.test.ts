/** `troupe upload` of single files, as somebody at a shell sees it: stdout, stderr, exit code, and what the server saw. */
import { writeFile } from "node:fs/promises";
import { describe, expect, it } from "vitest";
import { TroupeError } from "../../src/core/errors.ts";
import { CHUNK_BYTES_MIN } from "../../src/core/limits.ts";
import { fileIdNumber, MemoryGateway, problem } from "../client/memory-gateway.ts";
import { commandRig } from "./command-rig.ts";

const ID = fileIdNumber(1);
const CHUNK = CHUNK_BYTES_MIN;
const urlOf = (number: number, name: string): string => `${MemoryGateway.url}/files/${fileIdNumber(number)}/${name}\n`;

describe("upload", () => {
  it("prints only URLs on stdout, one a file", async () => {
    await using rig = await commandRig();
    await rig.file("a.bin", 100_000);
    await rig.file("b.bin", 10);
    expect(await rig.run(["upload", "a.bin", "b.bin"])).toEqual({
      code: 0,
      out: urlOf(1, "a.bin") + urlOf(2, "b.bin"),
      err: expect.stringMatching(/^2 files uploaded, 97\.7 KiB sent in \d+s\.\n$/),
    });
  });

  it("prints one JSON object a file with --json", async () => {
    await using rig = await commandRig();
    await rig.file("a.bin", 10);
    const { out } = await rig.run(["upload", "a.bin", "--json"]);
    expect(JSON.parse(out)).toMatchObject({ fileId: ID, size: 10, digest: { blake3: expect.any(String) } });
  });

  it("sends name, labels, chunk size as they were given", async () => {
    await using rig = await commandRig();
    await rig.file("a.bin", 200_000);
    await rig.run(["upload", "a.bin", "--name", "x/y.bin", "--app", "p", "--user", "u", "--chunk", "128KiB", "--parallel", "2"]);
    expect(JSON.parse(String(rig.gateway.requests.find(({ method }) => method === "POST")?.body))).toMatchObject({
      name: "x/y.bin",
      app: "p",
      user: "u",
      chunkBytes: 131_072,
      size: 200_000,
    });
    expect(rig.gateway.inFlightMax).toBe(2);
  });

  it("takes stdin as one body, and checks what was stored", async () => {
    await using rig = await commandRig();
    const said = await rig.run(["upload", "-", "--name", "in.txt"], { input: "hello" });
    expect(said).toEqual({ code: 0, out: urlOf(1, "in.txt"), err: "" });
    expect(rig.gateway.files.get(ID)?.bytes.toString()).toBe("hello");
    rig.gateway.after = (seen, response) => {
      for (const file of rig.gateway.files.values()) if (seen.startsWith("PUT")) file.bytes = Buffer.from("other");
      return response;
    };
    expect(await rig.run(["upload", "-"], { input: "hello" })).toMatchObject({
      code: 1,
      out: "",
      err: expect.stringContaining("BLAKE3 differs"),
    });
  });

  it("run again after it had finished says that the file is there, and prints its URL", async () => {
    await using rig = await commandRig();
    await rig.file("a.bin", 100_000);
    await rig.run(["upload", "a.bin"]);
    rig.gateway.seen.length = 0;
    expect(await rig.run(["upload", "a.bin"])).toEqual({
      code: 0,
      out: urlOf(1, "a.bin"),
      err: "a.bin: already there, nothing was sent; --fresh sends it as a new file.\n",
    });
    expect(await rig.run(["upload", "a.bin", "--dry-run"])).toMatchObject({
      out: expect.stringMatching(/^there .*a\.bin\n$/),
      err: expect.stringContaining("0 files would be, 0 B; 1 already there."),
    });
    expect(JSON.parse((await rig.run(["upload", "a.bin", "--json"])).out)).toMatchObject({ fileId: ID, there: true });
    expect(rig.gateway.seen).toEqual(Array(3).fill("GET /api/v1/files"));
    // Of that name and no other, of those labels, and not all whose names begin like it.
    expect(new URL(rig.gateway.requests.at(-1)?.url ?? "").search).toBe("?app=default&user=default&prefix=a.bin&limit=1000");
  });

  it("sends a file again that has another name, size or content there, or with --fresh", async () => {
    await using rig = await commandRig();
    const { path } = await rig.file("a.bin", 100_000);
    await rig.run(["upload", "a.bin"]);
    expect(await rig.run(["upload", "a.bin", "--fresh", "--dry-run"])).toMatchObject({ out: expect.stringMatching(/^new /) });
    expect((await rig.run(["upload", "a.bin", "--fresh"])).out).toBe(urlOf(2, "a.bin"));
    expect((await rig.run(["upload", "a.bin", "--name", "a.bi"])).out).toBe(urlOf(3, "a.bi"));
    await writeFile(path, Buffer.alloc(100_000));
    expect((await rig.run(["upload", "a.bin"])).out).toBe(urlOf(4, "a.bin"));
    // The newest decides: what an older version had is new again.
    await rig.file("a.bin", 100_000);
    expect((await rig.run(["upload", "a.bin"])).out).toBe(urlOf(5, "a.bin"));
    await writeFile(path, "short");
    expect((await rig.run(["upload", "a.bin"])).out).toBe(urlOf(6, "a.bin"));
  });

  it("waits out a server that cannot say at the moment what it has", async () => {
    await using rig = await commandRig();
    await rig.file("a.bin", 10);
    let failures = 2;
    rig.gateway.before = (seen) => (seen === "GET /api/v1/files" && failures-- > 0 ? problem(503, "BUSY") : undefined);
    expect(await rig.run(["upload", "a.bin"])).toMatchObject({ code: 0, out: urlOf(1, "a.bin") });
  });

  it("of one file that is not there is one line, without a sum", async () => {
    await using rig = await commandRig();
    expect(await rig.run(["upload", "nothing"])).toEqual({
      code: 1,
      out: "",
      err: `troupe: There is no file ${rig.path("nothing")}.\n`,
    });
    expect((await rig.run(["upload", "nothing", "--json"])).err.trim().split("\n")).toHaveLength(1);
  });

  it("draws a bar on a terminal, and stops it at the end", async () => {
    await using rig = await commandRig();
    await rig.file("a.bin", 3 * CHUNK_BYTES_MIN);
    const said = await rig.run(["upload", "a.bin", "--chunk", "64KiB"], { isTerminal: true });
    expect(said.err).toBe("");
    expect(rig.bars).toMatchObject([{ label: "a.bin", totalBytes: 3 * CHUNK_BYTES_MIN, stopped: true }]);
    // No time passes here, so there is no rate; but nothing waits.
    expect(rig.bars[0]?.updates.map(({ note }) => note)).not.toContain("waiting");
    expect(rig.bars[0]?.updates.at(-1)).toMatchObject({ doneBytes: 3 * CHUNK_BYTES_MIN, note: "merged" });
  });

  it("writes a line every few seconds elsewhere", async () => {
    await using rig = await commandRig();
    await rig.file("a.bin", 3 * CHUNK_BYTES_MIN);
    let failures = 3;
    rig.gateway.before = (seen) =>
      seen.endsWith("chunks/1") && failures-- > 0 ? problem(503, "BUSY", {}, { "retry-after": "6" }) : undefined;
    const { err } = await rig.run(["upload", "a.bin", "--chunk", "64KiB", "--parallel", "1"]);
    const [reason, ...lines] = err.trim().split("\n");
    expect(reason).toMatch(/^a\.bin: BUSY as told\. Trying again for about \dm \d+s\.$/);
    expect(lines.length).toBeGreaterThanOrEqual(2);
    expect(lines.every((line) => /^a\.bin: [\d.]+ (B|KiB) of 192 KiB \(\d+ %\), .+$/.test(line))).toBe(true);
  });

  it("says how to go on and how to give up when Ctrl-C stops it", async () => {
    await using rig = await commandRig();
    await rig.file("it's.bin", 4 * CHUNK_BYTES_MIN);
    const controller = new AbortController();
    rig.gateway.before = (seen) => {
      if (seen.endsWith("chunks/2")) controller.abort();
      return undefined;
    };
    const said = await rig.run(["--gateway", "http://gateway.test", "upload", "it's.bin", "--chunk", "64KiB", "--parallel", "1"], {
      signal: controller.signal,
    });
    expect(said).toMatchObject({ code: 1, out: "" });
    expect(said.err).toBe(
      "Stopped: it's.bin is not uploaded.\n" +
        "  to go on    the same command again sends only what is missing\n" +
        "  to give up  troupe --gateway http://gateway.test cancel u1\n",
    );
  });

  it("resumes by ID and sends only what is missing", async () => {
    await using rig = await commandRig();
    await rig.file("a.bin", 4 * CHUNK_BYTES_MIN);
    rig.gateway.before = (seen) => (/chunks\/[23]$/.test(seen) ? problem(401, "UNAUTHORIZED") : undefined);
    const broken = await rig.run(["upload", "a.bin", "--chunk", "64KiB", "--parallel", "1"]);
    expect(broken).toMatchObject({ code: 4, out: "", err: expect.stringContaining("the same command again") });
    rig.gateway.before = () => undefined;
    rig.gateway.seen.length = 0;
    expect(await rig.run(["upload", "--resume", "u1", "a.bin"])).toMatchObject({ code: 0, out: urlOf(1, "a.bin") });
    // The first and the last chunk it had were compared.
    expect(rig.gateway.count(/^PUT/)).toBe(4);
  });

  it("goes on with the other files after one that failed, but not after an error all of them would meet", async () => {
    await using rig = await commandRig();
    await rig.file("b.bin", 10);
    const said = await rig.run(["upload", "nothing", "b.bin"]);
    expect(said).toMatchObject({ code: 1, out: urlOf(1, "b.bin"), err: expect.stringContaining("There is no file") });
    rig.gateway.before = () => problem(401, "UNAUTHORIZED");
    rig.gateway.seen.length = 0;
    expect((await rig.run(["upload", "b.bin", "b.bin"])).code).toBe(4);
    expect(rig.gateway.seen).toHaveLength(1);
  });

  it.each(["npm_execpath", "npm_command", "npm_lifecycle_event"])(
    "its hints can be pasted where %s tells that npm began it",
    async (name) => {
      await using rig = await commandRig();
      await rig.file("a.bin", 2 * CHUNK);
      rig.gateway.before = (seen) => (seen.endsWith("chunks/1") ? problem(401, "UNAUTHORIZED") : undefined);
      const said = await rig.run(["upload", "a.bin", "--chunk", "64KiB"], { environment: { [name]: "x" } });
      expect(said.err).toContain("  npx troupe cancel u1\n");
    },
  );

  it("refuses to go on with another file of the same size, without advice to cancel", async () => {
    await using rig = await commandRig();
    await rig.file("b.bin", 2 * CHUNK_BYTES_MIN);
    await rig.client.create({ name: "a.bin", size: 2 * CHUNK_BYTES_MIN, chunkBytes: CHUNK_BYTES_MIN, idempotencyKey: "k" });
    rig.gateway.uploads.get("u1")?.chunks.set(0, Buffer.alloc(CHUNK_BYTES_MIN));
    const said = await rig.run(["upload", "--resume", "u1", "b.bin"]);
    expect(said).toMatchObject({ code: 1, out: "", err: expect.stringContaining("is not the file that upload u1 was begun with") });
    expect(said.err).not.toContain("cancel");
    expect(rig.gateway.files.size).toBe(0);
  });

  it("of several files names those with errors, and sums up", async () => {
    await using rig = await commandRig();
    for (const name of ["a.bin", "b.bin", "c d.bin"]) await rig.file(name, 10);
    rig.gateway.before = (_, { body }) => (String(body).includes("b.bin") ? problem(413, "TOO_LARGE") : undefined);
    expect(await rig.run(["upload", "a.bin", "b.bin", "c d.bin"])).toEqual({
      code: 1,
      out: urlOf(1, "a.bin") + urlOf(2, "c%20d.bin"),
      err: expect.stringMatching(/^troupe: b\.bin: TOO_LARGE as told\.\n2 files uploaded, 20 B sent in \d+s; 1 failed\.\n$/),
    });
  });

  it("begins no further file after Ctrl-C, and says so", async () => {
    await using rig = await commandRig();
    const names = Array.from({ length: 30 }, (_, index) => `f${index}`);
    for (const name of names) await rig.file(name, 10);
    const controller = new AbortController();
    rig.gateway.before = (_, { body }) => {
      if (String(body).includes("f5")) controller.abort();
      return undefined;
    };
    const stopped = await rig.run(["upload", ...names], { signal: controller.signal });
    expect(stopped.code).toBe(1);
    expect(stopped.err).toMatch(
      /^Stopped\. Not all files were begun\. The same command again goes on where this one ended\.\n\d+ files? uploaded, .*stopped\.\n$/,
    );
    expect(rig.gateway.count(/^POST .*uploads$/)).toBeLessThan(20);
  });

  it.each([true, false])("says at once, and once, that the connection is lost (terminal: %s)", async (isTerminal) => {
    await using rig = await commandRig();
    await rig.file("a.bin", 8 * CHUNK_BYTES_MIN);
    let failures = 6;
    rig.gateway.before = (seen) => {
      if (/chunks\/[2-5]$/.test(seen) && failures-- > 0) throw new TroupeError("UNAVAILABLE", "connection reset");
      return undefined;
    };
    const said = await rig.run(["upload", "a.bin", "--chunk", "64KiB"], { isTerminal });
    expect(said.code).toBe(0);
    expect(
      said.err.match(/a\.bin: No answer from http:\/\/gateway\.test \(connection reset\)\. Trying again for about 46s\.\n/g),
    ).toHaveLength(1);
    expect(said.err.match(/Trying again/g)).toHaveLength(1);
  });

  it("tells each reason once before anything is open, and ends with 5 when the server has nobody to ask", async () => {
    await using rig = await commandRig();
    await rig.file("a.bin", 10);
    rig.gateway.before = () => problem(503, "DATABASE_UNAVAILABLE");
    const said = await rig.run(["upload", "a.bin"]);
    expect(said).toMatchObject({ code: 5, out: "" });
    expect(said.err).toBe("a.bin: DATABASE_UNAVAILABLE as told. Trying again.\ntroupe: DATABASE_UNAVAILABLE as told.\n");
  });

  it("goes on with the next file when the node of one is away", async () => {
    await using rig = await commandRig();
    await rig.file("a.bin", 10);
    await rig.file("b.bin", 10);
    rig.gateway.before = (seen) => (seen.includes("u1/chunks") ? problem(503, "HOST_UNAVAILABLE") : undefined);
    const said = await rig.run(["upload", "a.bin", "b.bin"]);
    expect(said).toMatchObject({ code: 5, out: urlOf(1, "b.bin"), err: expect.stringContaining("1 file uploaded, 10 B sent") });
  });

  it("says how large a file is for which there is no room", async () => {
    await using rig = await commandRig();
    await rig.file("a.bin", 2048);
    rig.gateway.before = (seen) => (seen.startsWith("POST") ? problem(507, "DISK_FULL") : undefined);
    expect((await rig.run(["upload", "a.bin"])).err).toContain("no room for a.bin, which has 2.00 KiB.");
  });

  it.each(["100KiB", "1KiB", "128MiB"])("refuses --chunk %s in its own words", async (size) => {
    await using rig = await commandRig();
    expect((await rig.run(["upload", "a.bin", "--chunk", size])).err).toContain("--chunk is a multiple of 64KiB from 64KiB to 64MiB.");
  });

  it.each([
    [["upload"]],
    [["upload", "a", "--chunk", "100KiB"]],
    [["upload", "a", "--name", ""]],
    [["upload", "a", "--name", "../x"]],
    [["upload", "a", "b", "--name", "x"]],
    [["upload", "a", "b", "--resume", "u1"]],
    [["upload", "-", "--resume", "u1"]],
    [["upload", "-", "-"]],
    [["upload", "a", "--resume", "u1", "--fresh"]],
    [["upload", "-", "--parallel", "2"]],
    [["upload", "a", "--bwlimit", "100"]],
    [["upload", "a", "--bwlimit", "1KiB"]],
    [["upload", "a", "--chunk", "many"]],
    [["upload", "a", "--parallel", "0"]],
    [["upload", "a", "--parallel", "65"]],
    [["upload", "a", "--resume", "../x"]],
  ])("refuses %j as wrong usage, without asking the server", async (argv) => {
    await using rig = await commandRig();
    expect(await rig.run(argv)).toMatchObject({ code: 2, out: "" });
    expect(rig.gateway.seen).toEqual([]);
  });
});
