/** What a cluster of real processes tells of itself: to the command line, in its logs, and to whoever has the NATS CLI. */
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import type { TraceReport } from "../../src/client/inspection-answers.ts";
import type { TestCluster } from "../support/cluster.ts";
import { endOf, run, TROUPE } from "../support/program.ts";
import { temporaryDirectory } from "../support/temporary-directory.ts";
import { until } from "../support/until.ts";
import { type RawMessage, RawNats } from "./raw-nats.ts";

const CHUNK_BYTES = 65_536;
const PAGE = new URL("../../docs/NATS-CLI.md", import.meta.url);

export function describeInspecting(started: () => TestCluster): void {
  const troupe = async (...argv: string[]): Promise<string> =>
    (await run(process.execPath, [TROUPE, "--gateway", started().gatewayUrl, ...argv])).toString();
  const ask = (method: string, path: string, body?: unknown): Promise<Response> =>
    fetch(`${started().gatewayUrl}${path}`, {
      method,
      ...(body === undefined ? {} : { body: JSON.stringify(body), headers: { "content-type": "application/json" } }),
    });
  const begin = async (): Promise<string> => {
    const created = await ask("POST", "/api/v1/uploads", { name: "begun.bin", size: 3 * CHUNK_BYTES, chunkBytes: CHUNK_BYTES });
    const { uploadId } = (await created.json()) as { uploadId: string };
    await send(uploadId, 0);
    return uploadId;
  };
  const send = async (uploadId: string, index: number): Promise<void> => {
    const body = new Uint8Array(CHUNK_BYTES).fill(index);
    expect((await fetch(`${started().gatewayUrl}/api/v1/uploads/${uploadId}/chunks/${index}`, { method: "PUT", body })).status).toBe(200);
  };
  const observer = (): RawNats => {
    const url = new URL(started().natsUrl("observer"));
    return new RawNats(Number(url.port), url.username, url.password);
  };

  it("an upload by the command line is one trace, across gateway, tracker, catalog, session and storage", async () => {
    await using directory = await temporaryDirectory();
    const path = join(directory.path, "traced.bin");
    await writeFile(path, Buffer.alloc(20 * CHUNK_BYTES, "traced "));
    // One after the other: of many, each process keeps those that ended last, and only so are these the same.
    await troupe("upload", path, "--chunk", "64KiB", "--parallel", "1");
    const { uploads } = JSON.parse(await troupe("--json", "uploads", "--all")) as { uploads: { uploadId: string; name: string }[] };
    const uploadId = uploads.find(({ name }) => name === "traced.bin")?.uploadId as string;
    const roleOf = (nodeId: string): string => nodeId.replace(/-\d+$/, "");
    const took = ({ spans }: TraceReport): Set<string> => new Set(spans.map(({ nodeId, actor }) => `${roleOf(nodeId)}: ${actor}`));
    const wanted = ["gateway: gateway", "tracker: tracker", "catalog: catalog", "storage: storage", "storage: upload"];
    // On a machine that has much to do, an answer may come too late.
    const { spans, processes } = await until(
      async () => JSON.parse(await troupe("--json", "trace", uploadId)) as TraceReport,
      (report) => wanted.every((each) => took(report).has(each)) && report.processes.length === started().processes.size,
    );
    expect(processes.map(({ nodeId }) => nodeId).sort()).toEqual([...started().processes.keys()].sort());
    expect(new Set(spans.map(({ traceId }) => traceId)).size).toBe(1);
    const known = new Set(spans.map(({ spanId }) => spanId));
    const tops = spans.filter(({ parentId }) => parentId === undefined || !known.has(parentId));
    expect(tops.filter(({ kind }) => kind !== "http")).toEqual([]);
    const chunks = /PUT \/api\/v1\/uploads\/:uploadId\/chunks\/:index {2}x20, /;
    await until(
      () => troupe("trace", uploadId),
      (text) => chunks.test(text),
    );
  });

  it("the same is told to the command on the bus, which the bus refuses none of it", async () => {
    const uploadId = await begin();
    const argv = [TROUPE, "--nats", started().natsUrl("client")];
    const asked = async (...words: string[]): Promise<string> => (await run(process.execPath, [...argv, ...words])).toString();
    expect(await asked("inspect", uploadId)).toContain("2 chunks are missing");
    await until(
      () => asked("trace", uploadId),
      (text) => text.includes("catalog.registerUpload"),
    );
    await until(
      async () => (JSON.parse(await asked("--json", "actors")) as { processes: { nodeId: string }[] }).processes.length,
      (count) => count === started().processes.size,
    );
    const following = endOf(process.execPath, [...argv, "inspect", uploadId, "--follow"]);
    for (const index of [1, 2]) await send(uploadId, index);
    expect((await ask("POST", `/api/v1/uploads/${uploadId}/merge`)).status).toBe(200);
    const { code, stdout } = await following;
    expect(code).toBe(0);
    expect(stdout.toString().trimEnd().split("\n").at(-1)).toBe("It waits for nothing: it has become a file.");
    expect(await started().violations()).toEqual([]);
  });

  it("the ID of an error is found in the logs of all processes it passed", async () => {
    const uploadId = await begin();
    const { host } = (await (await ask("GET", `/api/v1/inspect/uploads/${uploadId}`)).json()) as { host: string };
    const passed = [
      [await ask("POST", `/api/v1/uploads/${uploadId}/merge`), "UPLOAD_INCOMPLETE", [host]],
      [await ask("GET", "/api/v1/uploads/nobodysnobodysnobodysn"), "UPLOAD_NOT_FOUND", ["catalog-1", "catalog-2"]],
    ] as const;
    for (const [answer, wanted, behind] of passed) {
      const { code, requestId } = (await answer.json()) as { code: string; requestId: string };
      expect(code).toBe(wanted);
      const found = async (): Promise<string[]> => {
        const names = [...started().processes.keys()];
        const logs = await Promise.all(names.map((name) => readFile(join(started().directory, "logs", `${name}.log`), "utf8")));
        return names.filter((_, index) => logs[index]?.includes(requestId));
      };
      const names = await until(
        found,
        (some) => some.includes("gateway-1") && some.some((name) => (behind as readonly string[]).includes(name)),
      );
      // And in no other.
      expect(names.filter((name) => name !== "gateway-1" && !(behind as readonly string[]).includes(name))).toEqual([]);
    }
  });

  describe("docs/NATS-CLI.md", () => {
    it("every line is answered, or hears something, in JSON", async () => {
      const uploadId = await begin();
      const { host } = (await (await ask("GET", `/api/v1/inspect/uploads/${uploadId}`)).json()) as { host: string };
      const lines = (await readFile(PAGE, "utf8")).match(/^nats .*$/gm) ?? [];
      const placed = lines.map((line) => line.replaceAll("UPLOAD_ID", uploadId).replaceAll("NODE_ID", host));
      // What the observer may not hear is said to be so.
      const heard = placed.filter((line) => !line.includes("--translate"));
      expect(heard.length).toBeGreaterThan(15);
      await using nats = observer();
      nats.subscribe("_INBOX.page.*");
      for (const line of heard) {
        const [, subject] = /^nats sub '([^']+)'/.exec(line) ?? [];
        if (subject !== undefined) nats.subscribe(subject);
      }
      for (const [index, line] of heard.entries()) {
        const request = requestOf(line);
        if (request !== undefined) nats.publish(request.subject, `_INBOX.page.${index}`, request.body, request.headers);
      }
      const answersTo = (index: number): RawMessage[] => nats.messages.filter(({ subject }) => subject === `_INBOX.page.${index}`);
      const silent = async (): Promise<string[]> => {
        await nats.settled();
        return heard.filter((line, index) => requestOf(line) !== undefined && answersTo(index).length === 0);
      };
      await until(silent, (some) => some.length === 0);
      for (const { headers, body } of nats.messages) {
        expect(headers).not.toContain("Nats-Service-Error");
        expect(JSON.parse(body)).toBeTypeOf("object");
      }
      // All processes answer what is asked of all.
      const toAll = heard.findIndex((line) => line.includes("inspector.actors '{}'"));
      await until(
        async () => {
          await nats.settled();
          return answersTo(toAll).length;
        },
        (count) => count === started().processes.size,
      );

      // What happens is heard, and can be read.
      await send(uploadId, 1);
      await until(
        async () => {
          await nats.settled();
          return nats.messages.some(({ subject }) => subject === `troupe.v1.inspect.upload.${uploadId}`);
        },
        (isHeard) => isHeard,
      );
      expect((await ask("DELETE", `/api/v1/uploads/${uploadId}`)).status).toBe(204);
      const facts = await until(
        async () => {
          await nats.settled();
          return nats.messages.filter(({ subject }) => subject.startsWith("troupe.v1.evt."));
        },
        (some) => some.some(({ body }) => body.includes(uploadId)),
      );
      for (const { body } of facts) expect(JSON.parse(body)).toBeTypeOf("object");
      expect(nats.errors).toEqual([]);
    });

    it("an error says in its headers what it says there", async () => {
      await using nats = observer();
      nats.subscribe("_INBOX.wrong.*");
      await nats.settled();
      nats.publish("troupe.v1.catalog.upload", "_INBOX.wrong.1", '{"uploadId":"nobodysnobodysnobodysn"}');
      const [answer] = await until(
        async () => {
          await nats.settled();
          return nats.messages;
        },
        (messages) => messages.length > 0,
      );
      expect(answer?.headers).toMatch(/^NATS\/1\.0\r\n/);
      expect(answer?.headers).toMatch(/^Nats-Service-Error-Code: ?404\r$/m);
      expect(answer?.headers).toMatch(/^Nats-Service-Error: ?No such upload.+\r$/m);
      expect(answer?.headers).toMatch(/^Troupe-Error-Code: ?UPLOAD_NOT_FOUND\r$/m);
      expect(JSON.parse(answer?.body ?? "")).toMatchObject({ code: "UPLOAD_NOT_FOUND", detail: expect.any(String) });
    });
  });
}

/** What the NATS CLI sends for a line; nothing for one that only listens. */
function requestOf(line: string): { readonly subject: string; readonly body: string; readonly headers: readonly string[] } | undefined {
  const [, subject, body = ""] = /^nats req (\S+) '([^']*)'/.exec(line) ?? [];
  const [, header] = /--header '([^']+)'/.exec(line) ?? [];
  if (subject !== undefined) return { subject, body, headers: header === undefined ? [] : [header] };
  const [, verb, role] = /^nats micro (ls|info|stats)(?: (\w+))?/.exec(line) ?? [];
  if (verb === undefined) return undefined;
  return { subject: `$SRV.${verb === "ls" ? "PING" : verb.toUpperCase()}${role === undefined ? "" : `.${role}`}`, body: "", headers: [] };
}
