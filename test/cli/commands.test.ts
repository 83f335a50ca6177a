/** The commands, as somebody at a shell sees them: stdout, stderr, exit code. */
import { access, mkdir, readdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { shortTime } from "../../src/cli/time-text.ts";
import { TroupeError } from "../../src/core/errors.ts";
import { CHUNK_BYTES_MIN } from "../../src/core/limits.ts";
import { broken, fileIdNumber, json, MemoryGateway, once, problem } from "../client/memory-gateway.ts";
import { commandRig } from "./command-rig.ts";

const ID = fileIdNumber(1);
const urlOf = (number: number, name: string): string => `${MemoryGateway.url}/files/${fileIdNumber(number)}/${name}\n`;
/** When everything there was made, on this machine's clock. */
const MADE = shortTime("2026-01-31T12:34:56.789Z");
const isThere = (path: string): Promise<boolean> =>
  access(path).then(
    () => true,
    () => false,
  );

describe("download", () => {
  async function downloadRig(name = "a.bin") {
    const rig = await commandRig();
    rig.gateway.add(ID, name, Buffer.from("0123456789"));
    return rig;
  }

  it("writes to the file's name here, and prints where", async () => {
    await using rig = await downloadRig("dir/film.mkv");
    expect(await rig.run(["download", ID])).toEqual({ code: 0, out: `${rig.path("film.mkv")}\n`, err: "" });
    expect(await readFile(rig.path("film.mkv"), "utf8")).toBe("0123456789");
  });

  it("takes a URL as well as an ID", async () => {
    await using rig = await downloadRig();
    expect((await rig.run(["download", `http://elsewhere.test/files/${ID}/a.bin`, "-o", "b"])).code).toBe(0);
    expect(rig.gateway.requests.every(({ url }) => url.startsWith(MemoryGateway.url))).toBe(true);
  });

  it("writes a range, into a directory, or to stdout when told", async () => {
    await using rig = await downloadRig();
    await mkdir(rig.path("sub"));
    expect((await rig.run(["download", ID, "--range", "2-4", "-o", "sub"])).out).toBe(`${rig.path("sub/a.bin")}\n`);
    expect(await readFile(rig.path("sub/a.bin"), "utf8")).toBe("234");
    expect(await rig.run(["download", ID, "-o", "-", "-r", "-3"])).toEqual({ code: 0, out: "789", err: "" });
  });

  it("replaces nothing without --force", async () => {
    await using rig = await downloadRig();
    await writeFile(rig.path("a.bin"), "mine");
    expect(await rig.run(["download", ID])).toMatchObject({ code: 1, out: "", err: expect.stringContaining("--force") });
    expect(await readFile(rig.path("a.bin"), "utf8")).toBe("mine");
    expect((await rig.run(["download", ID, "--force"])).code).toBe(0);
  });

  it.each(["../../evil", "a/../../evil", "..\\..\\evil", "/etc/evil"])(
    "never leaves the directory, whatever the file is called: %s",
    async (name) => {
      await using rig = await downloadRig(name);
      expect((await rig.run(["download", ID])).out).toBe(`${join(rig.path("."), "evil")}\n`);
      const found = await readdir(rig.top, { recursive: true });
      expect(found.filter((path) => path.endsWith("evil"))).toEqual([join("a", "b", "c", "evil")]);
    },
  );

  it.each([
    ["..", 1],
    ["x/", 1],
  ])("refuses a name that is none here: %s", async (name, code) => {
    await using rig = await downloadRig(name);
    expect(await rig.run(["download", ID])).toMatchObject({ code, out: "", err: expect.stringContaining("-o FILE") });
  });

  it("stopped by Ctrl-C it keeps what came and says how curl goes on", async () => {
    await using rig = await downloadRig("my film.mkv");
    rig.gateway.add(ID, "my film.mkv", Buffer.alloc(100_000, 7));
    const controller = new AbortController();
    rig.gateway.after = (seen, response) => {
      if (!seen.startsWith("GET /files/")) return response;
      const { body } = response;
      async function* stopping(): AsyncGenerator<Uint8Array> {
        let count = 0;
        for await (const block of body) {
          if (++count === 4) controller.abort();
          yield block;
        }
      }
      return { ...response, body: stopping() };
    };
    const said = await rig.run(["download", ID], { signal: controller.signal });
    expect(said).toMatchObject({ code: 1, out: "" });
    expect(said.err).toBe(
      `Stopped. What came is in ${rig.path("my film.mkv.part")}.\n` +
        `  to go on    curl -C - -o 'my film.mkv.part' ${MemoryGateway.url}/files/${ID}/my%20film.mkv && mv 'my film.mkv.part' 'my film.mkv'\n`,
    );
    expect((await readFile(rig.path("my film.mkv.part"))).equals(Buffer.alloc(30_000, 7))).toBe(true);
    expect(await isThere(rig.path("my film.mkv"))).toBe(false);
  });

  it("says at once that the connection is lost", async () => {
    await using rig = await downloadRig();
    let isFirst = true;
    rig.gateway.after = (seen, response) => {
      if (!seen.startsWith("GET /files/") || !isFirst) return response;
      isFirst = false;
      return { ...response, body: broken(response.body, 5) };
    };
    expect(await rig.run(["download", ID])).toMatchObject({
      code: 0,
      err: "a.bin: No answer from http://gateway.test (The connection was reset). Trying again for about 46s.\n",
    });
  });

  it.each([
    ["into a file", [], false],
    ["into a file, on a terminal", [], true],
    ["to stdout", ["-o", "-"], false],
  ])("tells once which node is waited for, and ends with 5 when it stays away: %s", async (_, more, isTerminal) => {
    await using rig = await downloadRig();
    rig.gateway.before = (seen) =>
      seen.startsWith("GET /files/")
        ? problem(503, "HOST_UNAVAILABLE", { nodeId: "storage-3", detail: "The node storage-3 does not answer." })
        : undefined;
    const said = await rig.run(["download", ID, ...more], { isTerminal });
    expect(said.code).toBe(5);
    expect(said.err.match(/Trying again/g)).toHaveLength(1);
    expect(said.err.startsWith("a.bin: The node storage-3 does not answer. Trying again for about 46s.\n")).toBe(true);
    expect(said.err.endsWith("troupe: The node storage-3 does not answer.\n")).toBe(true);
  });

  it("ends with 3 for no such file, and leaves nothing", async () => {
    await using rig = await commandRig();
    expect(await rig.run(["download", ID, "-o", "x"])).toMatchObject({ code: 3, out: "" });
    expect(await isThere(rig.path("x.part"))).toBe(false);
  });

  it("ends with 2 for what is no range or no ID", async () => {
    await using rig = await downloadRig();
    expect((await rig.run(["download", ID, "-r", "5-2"])).code).toBe(2);
    expect((await rig.run(["download", "../film.mkv"])).code).toBe(2);
  });
});

describe("looking", () => {
  it("ls lists files in aligned columns, by prefix, exactly with --json", async () => {
    await using rig = await commandRig();
    rig.gateway.add(fileIdNumber(1), "a/x", Buffer.alloc(2048));
    rig.gateway.add(fileIdNumber(2), "b", Buffer.alloc(3));
    expect((await rig.run(["ls"])).out.split("\n")).toEqual([
      `${"ID".padEnd(36)}       SIZE  CREATED           NAME`,
      `${fileIdNumber(2)}        3 B  ${MADE}  b`,
      `${fileIdNumber(1)}   2.00 KiB  ${MADE}  a/x`,
      "",
    ]);
    expect(JSON.parse((await rig.run(["ls", "a/", "--json"])).out).files).toMatchObject([{ name: "a/x", size: 2048 }]);
  });

  it("lists with nothing in them say so on stderr, and only there", async () => {
    await using rig = await commandRig();
    expect(await rig.run(["ls"])).toEqual({ code: 0, out: "", err: "There is no file yet.\n" });
    expect((await rig.run(["ls", "x/"])).err).toBe("No file's name begins with x/.\n");
    expect(await rig.run(["ls", "--json"])).toEqual({ code: 0, out: '{"files":[]}\n', err: "" });
    const nothing = "No upload is under way; --all shows those that ended.\n";
    expect(await rig.run(["uploads"])).toEqual({ code: 0, out: "", err: nothing });
    expect((await rig.run(["uploads", "--all"])).err).toBe("There has been no upload yet.\n");
  });

  it("uploads --all shows the file of a merged one, and its size where only the file has it", async () => {
    await using rig = await commandRig();
    rig.gateway.add(ID, "in.txt", Buffer.alloc(2048));
    const upload = { uploadId: "u1", name: "in.txt", state: "merged", since: "2026-01-31T12:34:56.789Z", fileId: ID };
    const deleted = { ...upload, uploadId: "u2", fileId: fileIdNumber(9) };
    rig.gateway.before = (seen) => (seen === "GET /api/v1/uploads" ? json(200, { uploads: [upload, deleted] }) : undefined);
    const { out } = await rig.run(["uploads", "--all"]);
    expect(out).toContain(`2.00 KiB  ${ID}  in.txt\n`);
    expect(out).toContain(`?  ${fileIdNumber(9)}  in.txt\n`);
  });

  it("ls follows the cursor, up to a limit", async () => {
    await using rig = await commandRig();
    rig.gateway.add(ID, "a", Buffer.alloc(1));
    const page = await rig.client.files({});
    rig.gateway.before = (seen, { url }) =>
      seen === "GET /api/v1/files"
        ? json(200, { files: page.files, ...(url.includes("cursor=3") ? {} : { cursor: url.includes("cursor=2") ? "3" : "2" }) })
        : undefined;
    rig.gateway.seen.length = 0;
    expect(JSON.parse((await rig.run(["ls", "--json"])).out).files).toHaveLength(3);
    expect(rig.gateway.seen).toHaveLength(3);
    expect(JSON.parse((await rig.run(["ls", "--json", "--limit", "2"])).out).files).toHaveLength(2);
    expect(rig.gateway.seen).toHaveLength(5);
    expect((await rig.run(["ls"])).out.split("\n")).toHaveLength(5);
  });

  it("a name cannot send commands to the terminal", async () => {
    await using rig = await commandRig();
    rig.gateway.add(ID, "x\u001b[2J\u202egpj.exe\n", Buffer.alloc(1));
    const { out } = await rig.run(["ls"]);
    expect(["\u001b", "\u202e"].filter((mark) => out.includes(mark))).toEqual([]);
    expect(out.split("\n")).toHaveLength(3);
  });

  it("size prints the exact number of bytes", async () => {
    await using rig = await commandRig();
    rig.gateway.add(ID, "a", Buffer.alloc(123_456));
    expect((await rig.run(["size", ID])).out).toBe("123456\n");
    expect(JSON.parse((await rig.run(["size", ID, "--json"])).out)).toEqual({ fileId: ID, name: "a", size: 123_456 });
  });

  it("groups and nodes are tables, or JSON", async () => {
    await using rig = await commandRig();
    expect((await rig.run(["groups"])).out).toBe("GROUP     NODES  UP      FREE     TOTAL\ngroup001      2   1  5.00 GiB  1.00 TiB\n");
    expect((await rig.run(["nodes"])).out).toContain("node-1  group001  z     active  1s ago  5.00 GiB");
    expect(JSON.parse((await rig.run(["nodes", "--json"])).out).nodes).toMatchObject([{ nodeId: "node-1", freeBytes: 5 * 2 ** 30 }]);
  });

  it("uploads lists them, or shows one with what is missing", async () => {
    await using rig = await commandRig();
    await rig.client.create({ name: "a.bin", size: 5 * CHUNK_BYTES_MIN, chunkBytes: CHUNK_BYTES_MIN, idempotencyKey: "k" });
    rig.gateway.uploads.get("u1")?.chunks.set(1, Buffer.alloc(0));
    expect((await rig.run(["uploads"])).out).toMatch(new RegExp(`^UPLOAD .*\\nu1 +receiving +${MADE} +320 KiB {2}a\\.bin\\n$`));
    expect(rig.gateway.requests.at(-1)?.url).toContain("state=receiving");
    const { out } = await rig.run(["uploads", "u1"]);
    expect(out).toMatch(/chunks +1 of 5 received/);
    expect(out).toMatch(/missing +0, 2-4\n/);
    expect(JSON.parse((await rig.run(["uploads", "u1", "--json"])).out)).toMatchObject({
      uploadId: "u1",
      missing: [
        [0, 0],
        [2, 4],
      ],
    });
  });
});

describe("delete and cancel", () => {
  it("delete files, all or none of which were named rightly", async () => {
    await using rig = await commandRig();
    rig.gateway.add(ID, "a", Buffer.alloc(1));
    expect((await rig.run(["delete", ID, "oops"])).code).toBe(2);
    expect(rig.gateway.files.size).toBe(1);
    expect(await rig.run(["delete", ID])).toEqual({ code: 0, out: "", err: `Deleted ${ID}.\n` });
    expect((await rig.run(["delete", ID])).code).toBe(3);
  });

  it("cancel ends an upload", async () => {
    await using rig = await commandRig();
    await rig.client.create({ name: "a", size: 5, idempotencyKey: "k" });
    expect((await rig.run(["cancel", "u1"])).code).toBe(0);
    expect(rig.gateway.uploads.get("u1")?.state).toBe("cancelled");
    expect((await rig.run(["cancel", "u2"])).code).toBe(3);
    expect((await rig.run(["cancel", "a/b"])).code).toBe(2);
  });
});

describe("exit codes and errors", () => {
  const answers: [string, number, () => never | ReturnType<typeof problem>][] = [
    [
      "an answer that cannot be had",
      5,
      () => {
        throw new TroupeError("UNAVAILABLE", "connection refused");
      },
    ],
    ["401", 4, () => problem(401, "UNAUTHORIZED")],
    ["403", 4, () => problem(403, "FORBIDDEN")],
    ["404", 3, () => problem(404, "FILE_NOT_FOUND")],
    ["500", 1, () => problem(500, "INTERNAL")],
    ["503", 1, () => problem(503, "BUSY")],
    ["503 of a server that misses a part", 5, () => problem(503, "UNAVAILABLE")],
    ["504", 5, () => problem(504, "DEADLINE_EXCEEDED")],
    ["a refusal of the request by the server", 1, () => problem(400, "BAD_REQUEST")],
  ];
  it.each(answers)("%s ends with %i and one line", async (_, code, answer) => {
    await using rig = await commandRig();
    rig.gateway.before = answer;
    const said = await rig.run(["size", ID]);
    expect(said).toMatchObject({ code, out: "" });
    expect(said.err).toMatch(/^troupe: [^\n]+\n$/);
    const asJson = await rig.run(["size", ID, "--json"]);
    expect(JSON.parse(asJson.err)).toMatchObject({ error: { exitCode: code, code: expect.stringMatching(/^[A-Z_]+$/) } });
  });

  it.each([
    [404, "<html>not here</html>"],
    [501, "Unsupported method"],
    [200, "<html>welcome</html>"],
    [404, '{"error":"not found"}'],
  ])("another HTTP server, which answers %i, ends with 5 and is said to be none of ours", async (status, text) => {
    await using rig = await commandRig();
    await rig.file("a.bin", 10);
    rig.gateway.before = () => ({ status, headers: {}, body: once(text) });
    for (const argv of [["ls"], ["upload", "a.bin"], ["size", ID]])
      expect(await rig.run(argv)).toMatchObject({
        code: 5,
        out: "",
        err: expect.stringContaining("is no Troupe gateway. Name another one"),
      });
  });

  it.each(["127.0.0.1:8080", "nas:8080", "[::1]:8080"])("a gateway %s is one that speaks http", async (gateway) => {
    await using rig = await commandRig();
    expect((await rig.run(["--gateway", gateway, "ls"])).code).toBe(0);
    expect(rig.gateway.requests[0]?.url).toBe(`http://${gateway}/api/v1/files`);
  });

  it("Ctrl-C is said in a word", async () => {
    await using rig = await commandRig();
    expect(await rig.run(["ls"], { signal: AbortSignal.abort() })).toMatchObject({ code: 1, out: "", err: "Stopped.\n" });
  });

  it("wrong usage ends with 2 and a suggestion", async () => {
    await using rig = await commandRig();
    expect(await rig.run(["uplaod", "x"])).toMatchObject({ code: 2, out: "", err: expect.stringContaining("Did you mean upload?") });
    expect(await rig.run(["ls", "--jsno"])).toMatchObject({ code: 2, err: expect.stringContaining("Did you mean --json?") });
    expect((await rig.run([])).code).toBe(2);
    expect((await rig.run(["--gateway", "nonsense", "ls"])).code).toBe(2);
  });

  it("help is on everything, with examples, on stdout", async () => {
    await using rig = await commandRig();
    for (const command of [
      "upload",
      "download",
      "size",
      "delete",
      "ls",
      "groups",
      "nodes",
      "uploads",
      "cancel",
      "link",
      "play",
      "completion",
      "doctor",
      "config print",
    ]) {
      const said = await rig.run([...command.split(" "), "--help"]);
      expect(said).toMatchObject({ code: 0, err: "" });
      expect(said.out).toMatch(/Examples?:\n {2}troupe /);
      expect(said.out).toContain("--gateway");
    }
    expect((await rig.run(["--version"])).out).toBe("1.2.3\n");
  });

  it("the gateway and the token come from flags before the environment", async () => {
    await using rig = await commandRig();
    const environment = { TROUPE_TOKEN: "from-environment" };
    await rig.run(["groups"], { environment });
    await rig.run(["groups", "--token", "a:b", "--gateway", "http://other.test/"], { environment });
    expect(rig.gateway.requests.map(({ url, headers }) => [url, headers?.["authorization"]])).toEqual([
      ["http://gateway.test/api/v1/cluster", "Bearer from-environment"],
      ["http://other.test/api/v1/cluster", `Basic ${Buffer.from("a:b").toString("base64")}`],
    ]);
  });
});

describe("a token", () => {
  it("comes from a file where a variable names one, after --token and TROUPE_TOKEN", async () => {
    await using rig = await commandRig();
    const machine = { readFile: (path: string) => (path === "/run/token" ? "from-file\n" : undefined) };
    const environment = { TROUPE_TOKEN_FILE: "/run/token" };
    await rig.run(["groups"], { environment, machine });
    await rig.run(["groups"], { environment: { ...environment, TROUPE_TOKEN: "from-environment" }, machine });
    await rig.run(["groups", "--token", "from-flag"], { environment, machine });
    const sent = rig.gateway.requests.map(({ headers }) => headers?.["authorization"]);
    expect(sent).toEqual(["Bearer from-file", "Bearer from-environment", "Bearer from-flag"]);
    const missing = await rig.run(["groups"], { environment: { TROUPE_TOKEN_FILE: "/nothing" }, machine });
    expect(missing).toMatchObject({ code: 2, err: expect.stringContaining("there is no such file") });
  });
});

describe("config print", () => {
  it("shows what is in effect and where it was set, without secrets", async () => {
    await using rig = await commandRig();
    const environment = { TROUPE_TOKEN: "alice:SECRET", TROUPE_HEARTBEAT: "2s", TROUPE_ODD: "1" };
    const said = await rig.run(["config", "print", "--port", "9000"], {
      environment,
      machine: { readFile: (path) => (path.endsWith("troupe.config.json") ? '{"group":"g2"}' : undefined) },
    });
    expect(said.code).toBe(0);
    expect(said.out).toMatch(/--port +9000 +--port\n/);
    expect(said.out).toMatch(/--heartbeat +2s +TROUPE_HEARTBEAT\n/);
    expect(said.out).toMatch(/--group +g2 +\S+troupe\.config\.json\n/);
    expect(said.out).toMatch(/--token +alice:\(secret\) +TROUPE_TOKEN\n/);
    expect(said.out + said.err).not.toContain("SECRET");
    expect(said.err).toContain("TROUPE_ODD");
  });

  it("ends with 2 when a setting is wrong", async () => {
    await using rig = await commandRig();
    expect(await rig.run(["config", "print", "--port", "x"])).toMatchObject({ code: 2, out: "", err: expect.stringContaining("--port") });
  });
});

describe("--nats", () => {
  const NATS = "nats://client:SECRET@bus:4222";

  it("does the same on the bus: a file's URL where the cluster has a gateway, else its ID", async () => {
    await using rig = await commandRig();
    await rig.file("a.bin", 10);
    const shown = await rig.run(["--nats", NATS, "upload", "a.bin"], { clusterUrl: MemoryGateway.url });
    expect(shown).toEqual({ code: 0, out: urlOf(1, "a.bin"), err: "" });
    await rig.file("b.bin", 10);
    expect((await rig.run(["--nats", NATS, "upload", "b.bin"])).out).toBe(`${fileIdNumber(2)}\n`);
    expect(rig.opened[0]).toEqual({ nats: NATS, owner: "local" });
    expect(rig.gateway.requests.every(({ headers }) => headers?.["authorization"] === "Bearer actors")).toBe(true);
  });

  it("asks on behalf of --owner, and is found in the environment", async () => {
    await using rig = await commandRig();
    await rig.run(["ls"], { environment: { TROUPE_NATS: NATS, TROUPE_OWNER: "alice" } });
    await rig.run(["ls", "--owner", "bob"], { environment: { TROUPE_NATS: NATS } });
    await rig.run(["ls", "--gateway", MemoryGateway.url], { environment: { TROUPE_NATS: NATS } });
    expect(rig.opened).toEqual([
      { nats: NATS, owner: "alice" },
      { nats: NATS, owner: "bob" },
    ]);
  });

  it("is refused beside what it replaces, and its password is said nowhere", async () => {
    await using rig = await commandRig();
    expect(await rig.run(["--nats", NATS, "--gateway", "http://x", "ls"])).toMatchObject({
      code: 2,
      err: expect.stringContaining("give one"),
    });
    expect(await rig.run(["--nats", NATS, "--token", "a:b", "ls"])).toMatchObject({ code: 2, err: expect.stringContaining("--owner") });
    expect(await rig.run(["--nats", "bus:4222", "ls"])).toMatchObject({ code: 2, err: expect.stringContaining("nats://") });
    const missing = await rig.run(["--nats", NATS, "size", fileIdNumber(9)]);
    expect(missing).toMatchObject({ code: 3, err: expect.stringContaining("nats://client:(secret)@bus:4222") });
    expect(JSON.stringify(missing)).not.toContain("SECRET");
  });
});
