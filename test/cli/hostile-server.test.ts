/** What a server answers is text from a stranger: it gives no commands to the terminal, the player or the disk, and it ends. */
import { mkdir, readdir } from "node:fs/promises";
import { describe, expect, it } from "vitest";
import { fileIdNumber, json, MemoryGateway, problem } from "../client/memory-gateway.ts";
import { commandRig } from "./command-rig.ts";

const ID = fileIdNumber(1);
const CREATED = "2026-01-31T12:34:56.789Z";
/** Wipes the screen, sets the title, writes to the clipboard; the last two begin as terminals of 8 bits take them, and turn the line around. */
const COMMANDS = "\u001b[2J\u001b]0;mine\u0007\u001b]52;c;bWluZQ==\u0007\r\u009b2J\u2028\u202e";
// biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what must not be there
const COMMANDING = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u2028\u2029]/;

async function hostileRig() {
  const rig = await commandRig();
  rig.gateway.add(ID, "a.mkv", Buffer.from("0123456789"));
  return rig;
}

/** A machine that has this player, and what was run on it. */
function machineWith(player: string) {
  const ran: string[][] = [];
  return {
    ran,
    machine: {
      findProgram: (name: string) => (name === player ? `/bin/${name}` : undefined),
      runProgram: async (path: string, argv: readonly string[]) => {
        ran.push([path, ...argv]);
        return 0;
      },
    },
  };
}

describe("an address", () => {
  it.each(["--log-file=/tmp/x", "file:///etc/passwd", "javascript:alert(1)", "-", "", "/files/x", "http://", "lavfi://x", `${COMMANDS}`])(
    "%j is given to no player, and printed by nobody",
    async (url) => {
      await using rig = await hostileRig();
      rig.gateway.before = (seen) => (seen.endsWith("/link") ? json(200, { url, expires: CREATED }) : undefined);
      const { machine, ran } = machineWith("mpv");
      for (const argv of [
        ["play", ID],
        ["play", ID, "--player", "mpv"],
        ["play", ID, "--json"],
        ["link", ID],
        ["link", ID, "--json"],
      ])
        expect(await rig.run(argv, { machine })).toMatchObject({ code: 1, out: "", err: expect.stringContaining("http://") });
      expect(ran).toEqual([]);
    },
  );

  it("of a file is printed by upload only if it is one of the web", async () => {
    await using rig = await hostileRig();
    await rig.file("b.bin", 10);
    rig.gateway.after = (seen, response) =>
      seen.endsWith("/merge") || seen.startsWith("GET /api/v1/files/")
        ? json(200, { fileId: ID, name: "b.bin", size: 10, digest: { blake3: "0".repeat(64) }, url: "--output=/tmp/x" })
        : response;
    expect(await rig.run(["upload", "b.bin"])).toMatchObject({ code: 1, out: "", err: expect.stringContaining("http://") });
  });

  it("is written so that nothing in it is a control character or another line", async () => {
    await using rig = await hostileRig();
    const url = `http://gateway.test/a\nb${COMMANDS}'c`;
    rig.gateway.before = (seen) => (seen.endsWith("/link") ? json(200, { url, expires: CREATED }) : undefined);
    const { machine, ran } = machineWith("mpv");
    await rig.run(["play", ID], { machine });
    expect(ran[0]?.at(-2)).toBe("--");
    expect(ran[0]?.at(-1)).toMatch(/^http:\/\/gateway\.test\/ab[\x21-\x7e]+$/);
    expect((await rig.run(["link", ID])).out).toMatch(/^http:\/\/gateway\.test\/ab[\x21-\x7e]+\n$/);
  });
});

describe("no words of a server are commands to the terminal", () => {
  const upload = { uploadId: "u1", name: `n${COMMANDS}`, state: "receiving", since: COMMANDS, size: 10 };
  const status = {
    ...upload,
    chunkBytes: 65_536,
    receivedCount: 0,
    missing: [[0, 0]],
    expires: COMMANDS,
    lastError: { code: COMMANDS, detail: COMMANDS, retryable: false },
    [`x${COMMANDS}`]: COMMANDS,
  };
  const node = { nodeId: "n1", group: "g1", zone: COMMANDS, state: COMMANDS, silentMs: 1, freeBytes: 1, totalBytes: 2, version: COMMANDS };
  const file = { fileId: ID, name: `n${COMMANDS}`, size: 10, digest: { blake3: "0".repeat(64) }, url: "http://gateway.test/" };
  const step = { first: 1, last: 1, fromMs: 1, atMs: 1, from: "init", to: COMMANDS, events: [{ event: COMMANDS, count: 1 }] };
  const machine = {
    state: COMMANDS,
    sinceMs: 1,
    context: { [COMMANDS]: COMMANDS },
    openedMs: 1,
    visits: [{ state: COMMANDS, count: 1, totalMs: 1 }],
    transitions: [{ from: COMMANDS, event: COMMANDS, to: COMMANDS, count: 1 }],
    steps: [{ ...step, changes: [{ field: COMMANDS, before: COMMANDS, after: { [COMMANDS]: COMMANDS } }] }],
    isCut: true,
    effects: [{ name: COMMANDS, sinceMs: 1 }],
  };
  const inspection = { upload: { ...status, state: COMMANDS, chunkCount: 1 }, host: COMMANDS, group: COMMANDS, machine, why: COMMANDS };
  const span = { traceId: "a".repeat(32), spanId: "b".repeat(16), kind: "http", actor: COMMANDS, name: COMMANDS, nodeId: COMMANDS };
  const trace = {
    id: COMMANDS,
    spans: [{ ...span, startMs: 1, durationMs: 1, outcome: COMMANDS }],
    counts: [],
    processes: [{ nodeId: COMMANDS, roles: [COMMANDS] }],
    isTruncated: false,
  };
  const actor = {
    actor: "a",
    subject: COMMANDS,
    state: COMMANDS,
    sinceMs: 1,
    recent: [],
    turns: 1,
    crashes: 1,
    waiting: 0,
    deferred: 0,
    deadLetters: 0,
  };
  const answers: Record<string, unknown> = {
    "GET /api/v1/inspect/uploads/u1": inspection,
    "GET /api/v1/inspect/uploads/u2": { upload: { state: "failed" }, host: COMMANDS, missing: COMMANDS, why: COMMANDS },
    "GET /api/v1/inspect/traces/u1": trace,
    "GET /api/v1/inspect/actors": {
      processes: [{ nodeId: "n1", roles: [COMMANDS], version: COMMANDS, startedMs: 1, actors: [actor], counts: [] }],
    },
    "GET /api/v1/uploads": { uploads: [upload] },
    "GET /api/v1/uploads/u1": status,
    "GET /api/v1/cluster": { groups: [], nodes: [node] },
    "GET /api/v1/files": { files: [{ ...file, created: COMMANDS, contentType: COMMANDS, more: COMMANDS }] },
    [`GET /api/v1/files/${ID}`]: file,
    [`POST /api/v1/files/${ID}/link`]: { url: "http://gateway.test/", expires: COMMANDS },
    "GET /readyz": { ready: false, checks: { bus: { ok: false, reason: COMMANDS } } },
  };
  const COMMAND_LINES = ["ls", "uploads", "uploads --all", "uploads u1", "nodes", "groups", `size ${ID}`, `link ${ID}`, `play ${ID}`];
  const INSPECTING_LINES = ["inspect u1", "inspect u2", "trace u1", "actors"];
  const MORE_LINES = ["doctor", `download ${ID}`, `download ${ID} -o -`, `cancel u1`, `delete ${ID}`, "upload b.bin", "upload b.bin b.bin"];

  it.each([...COMMAND_LINES, ...INSPECTING_LINES, ...MORE_LINES])("troupe %s", async (line) => {
    await using rig = await hostileRig();
    await rig.file("b.bin", 10);
    const told = { lastError: COMMANDS, requestId: COMMANDS, [`x${COMMANDS}`]: COMMANDS };
    const argv = line.split(" ");
    for (const words of [argv, [...argv, "--json"]]) {
      for (const isTerminal of [false, true]) {
        rig.gateway.before = (seen) => (answers[seen] === undefined ? undefined : json(200, answers[seen]));
        const said = await rig.run(words, { isTerminal });
        expect(said.out + said.err).not.toMatch(COMMANDING);
        if (words !== argv && !line.endsWith("-o -"))
          for (const each of said.out.split("\n").filter((text) => text !== "")) JSON.parse(each);
      }
      for (const code of ["INTERNAL", "UNAUTHORIZED", "FILE_NOT_FOUND", COMMANDS]) {
        rig.gateway.before = () => problem(code === "INTERNAL" ? 500 : 400, code, { detail: `said ${COMMANDS}`, ...told });
        const said = await rig.run(words);
        expect(said.out + said.err).not.toMatch(COMMANDING);
        // One line for a person; what turns it around is gone from it, too.
        if (words === argv && argv[0] !== "doctor") expect(said.err).not.toContain("\u202e");
      }
    }
  });

  it.each(["inspect u1 --svg -", "inspect u1 --mermaid"])("troupe %s", async (line) => {
    await using rig = await hostileRig();
    rig.gateway.before = (seen) => (answers[seen] === undefined ? undefined : json(200, answers[seen]));
    const said = await rig.run(line.split(" "));
    expect(said).toMatchObject({ code: 0, err: "" });
    expect(said.out).not.toMatch(COMMANDING);
  });

  it.each([[[]], [["--json"]]])("nor those of a stream of events, followed with %j", async (flags) => {
    await using rig = await hostileRig();
    const steps = { uploadId: "u1", atMs: 1, state: COMMANDS, sinceMs: 1, openedMs: 1, context: {}, effects: [], steps: machine.steps };
    const ended = { ...inspection, upload: { ...inspection.upload, state: "failed" } };
    const events = [
      ["inspection", inspection],
      ["steps", { ...steps, steps: [{ ...machine.steps[0], first: 2, last: 2 }] }],
      ["inspection", ended],
    ];
    const text = events.map(([name, facts]) => `event: ${name}\ndata: ${JSON.stringify(facts)}\n\n`).join("");
    rig.gateway.before = () => ({
      ...json(200, {}),
      body: (async function* () {
        yield Buffer.from(text);
      })(),
    });
    for (const isTerminal of [false, true]) {
      const said = await rig.run(["inspect", "u1", "--follow", ...flags], { isTerminal });
      expect(said).toMatchObject({ code: 0, err: "" });
      expect(said.out).not.toMatch(COMMANDING);
      expect(said.out.split("\n").length).toBeGreaterThan(3);
    }
    for (const bar of rig.bars) for (const { note } of bar.updates) expect(note).not.toMatch(COMMANDING);
  });

  it("JSON keeps what was said", async () => {
    await using rig = await hostileRig();
    rig.gateway.before = () => json(200, { uploads: [{ uploadId: "u1", name: "x\u009b2J\u001b", state: "receiving" }] });
    const { out } = await rig.run(["uploads", "--json"]);
    expect(out).toContain("x\\u009b2J\\u001b");
    expect(JSON.parse(out).uploads[0].name).toBe("x\u009b2J\u001b");
  });

  it("nor those of an upload that has ended", async () => {
    await using rig = await hostileRig();
    await rig.file("b.bin", 10);
    rig.gateway.before = (seen) => (seen === "GET /api/v1/uploads/u1" ? json(200, { ...status, state: "failed" }) : undefined);
    const said = await rig.run(["upload", "b.bin", "--resume", "u1"]);
    expect(said).toMatchObject({ code: 1, out: "" });
    expect(said.err).toMatch(/failed for good/);
    expect(said.err).not.toMatch(COMMANDING);
  });
});

describe("a listing without end", () => {
  const file = { fileId: ID, name: "photos/a", size: 10, digest: { blake3: "0".repeat(64) }, url: "http://gateway.test/" };
  const upload = { uploadId: "u1", name: "a", state: "receiving" };
  const NO_END = expect.stringContaining("listing has no end");

  it.each(["ls", "ls --json", "uploads", "uploads --json", "uploads --all", `link photos/b`, `play photos/b`])(
    "troupe %s ends with 1, in words",
    async (line) => {
      await using rig = await hostileRig();
      rig.gateway.before = () => json(200, { files: [file], uploads: [upload], cursor: "again" });
      const said = await rig.run(line.split(" "));
      expect(said.code).toBe(1);
      expect(said.err).toContain("listing has no end");
      expect(rig.gateway.seen.length).toBeLessThan(4);
      // Nobody takes the beginning for the whole.
      if (line.endsWith("--json") && said.out !== "") expect(() => JSON.parse(said.out)).toThrow(SyntaxError);
    },
  );

  it("goes round in a circle, or is of empty pages, and is found out all the same", async () => {
    await using rig = await hostileRig();
    let count = 0;
    rig.gateway.before = () => json(200, { files: [file], cursor: String((count += 1) % 7) });
    expect(await rig.run(["ls"])).toMatchObject({ code: 1, err: NO_END });
    rig.gateway.before = () => json(200, { files: [], cursor: String((count += 1)) });
    expect(await rig.run(["ls"])).toMatchObject({ code: 1, err: NO_END });
    expect(rig.gateway.seen.length).toBeLessThan(200);
  });

  it("of ever the same names does not keep a folder from being uploaded", async () => {
    await using rig = await hostileRig();
    const files = Array.from({ length: 1000 }, () => file);
    let count = 0;
    rig.gateway.before = (seen) => (seen === "GET /api/v1/files" ? json(200, { files, cursor: String((count += 1)) }) : undefined);
    await mkdir(rig.path("photos"));
    await rig.file("photos/b", 10);
    expect(await rig.run(["upload", "photos"])).toMatchObject({ code: 0 });
    expect(count).toBe(200);
  });

  it("a page of more than was asked for is refused", async () => {
    await using rig = await hostileRig();
    rig.gateway.before = () => json(200, { uploads: Array.from({ length: 1001 }, () => upload) });
    expect(await rig.run(["uploads", "--all"])).toMatchObject({ code: 1, out: "" });
  });

  it("with --json is written as it comes", async () => {
    await using rig = await hostileRig();
    rig.gateway.before = () => json(200, { files: [file], cursor: "1" });
    expect((await rig.run(["ls", "--json"])).out).toMatch(/^\{"files":\[\{.*\}$/);
  });
});

describe("a downloaded file", () => {
  it.each([".bashrc", "dir/.curlrc", "..\\.profile", "..."])("%j gets no hidden name that nobody typed", async (name) => {
    await using rig = await hostileRig();
    rig.gateway.add(ID, name, Buffer.from("0123456789"));
    for (const argv of [
      ["download", ID],
      ["download", ID, "-o", "."],
    ])
      expect(await rig.run(argv)).toMatchObject({ code: 1, out: "", err: expect.stringContaining("use -o FILE") });
    expect(await readdir(rig.directory)).toEqual([]);
    expect((await rig.run(["download", ID, "-o", ".mine"])).code).toBe(0);
  });

  it("whose name begins like an option is none in the command that goes on", async () => {
    await using rig = await hostileRig();
    rig.gateway.add(ID, "-t.mkv", Buffer.alloc(100_000, 7));
    const controller = new AbortController();
    rig.gateway.after = (seen, response) => {
      if (!seen.startsWith("GET /files/")) return response;
      const { body } = response;
      async function* stopping() {
        for await (const block of body) {
          yield block;
          controller.abort();
        }
      }
      return { ...response, body: stopping() };
    };
    const { err } = await rig.run(["download", ID], { signal: controller.signal });
    expect(err).toContain(`-o ./-t.mkv.part ${MemoryGateway.url}/files/${ID}/-t.mkv && mv ./-t.mkv.part ./-t.mkv\n`);
  });
});

describe("what only this side knows", () => {
  it.each([{ part: "/home/me/.bashrc" }, { taken: "x" }, { unreachable: true }, { stranger: true }, { userNeeded: true }])(
    "a server cannot say: %j",
    async (facts) => {
      await using rig = await hostileRig();
      rig.gateway.before = (seen) => (seen.startsWith("GET /files/") ? problem(400, "PRECONDITION_FAILED", facts) : undefined);
      expect(await rig.run(["download", ID])).toEqual({ code: 1, out: "", err: "troupe: PRECONDITION_FAILED as told.\n" });
    },
  );

  it("nor how long is waited, but in the bounded field", async () => {
    await using rig = await hostileRig();
    rig.gateway.before = (seen) => (seen.startsWith("GET /files/") ? problem(503, "UNAVAILABLE", { retryAfterMs: 1e12 }) : undefined);
    const before = rig.clock.nowMs();
    await rig.run(["download", ID]);
    expect(rig.clock.nowMs() - before).toBeLessThan(600_000);
  });
});
