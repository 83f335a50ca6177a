/** What the doctor says, and that it leaves nothing behind. */
import { readdir, writeFile } from "node:fs/promises";
import { describe, expect, it } from "vitest";
import type { Machine } from "../../src/cli/context.ts";
import { TroupeError } from "../../src/core/errors.ts";
import { json, once, problem } from "../client/memory-gateway.ts";
import { commandRig } from "./command-rig.ts";

interface Finding {
  readonly check: string;
  readonly verdict: string;
  readonly sentence: string;
}

async function examine(
  argv: string[] = [],
  machine: Partial<Machine> = {},
  prepare: (rig: Awaited<ReturnType<typeof commandRig>>) => void | Promise<void> = () => undefined,
) {
  await using rig = await commandRig();
  await prepare(rig);
  const { code, out } = await rig.run(["doctor", "--json", ...argv], { machine });
  const { findings } = JSON.parse(out) as { findings: Finding[] };
  return {
    code,
    of: (check: string) => findings.find((finding) => finding.check === check),
    verdicts: findings.map(({ verdict }) => verdict),
    left: await readdir(rig.directory),
  };
}

describe("doctor", () => {
  it("finds nothing wrong with a machine that is well, and leaves nothing behind", async () => {
    const { code, verdicts, left } = await examine(["--data", "not/there/yet"]);
    expect(code).toBe(0);
    expect(verdicts).toHaveLength(8);
    expect(verdicts).not.toContain("fail");
    expect(left).toEqual([]);
  });

  it("says each finding in a line", async () => {
    await using rig = await commandRig();
    const { out } = await rig.run(["doctor"]);
    for (const line of out.trim().split("\n")) expect(line).toMatch(/^(ok {2}|warn|fail) {2}\w+ +\S.*[.)]$/);
  });

  it("fails for an old Node, and for too few files, with what to do", async () => {
    const { code, of } = await examine([], { nodeVersion: "20.1.0", openFilesMax: () => 64 });
    expect(code).toBe(1);
    expect(of("node")).toMatchObject({ verdict: "fail", sentence: expect.stringContaining("install Node 24") });
    expect(of("files")).toMatchObject({ verdict: "fail", sentence: expect.stringContaining("ulimit -n") });
    expect((await examine([], { openFilesMax: () => 1024 })).of("files")?.verdict).toBe("warn");
    expect((await examine([], { openFilesMax: () => undefined })).of("files")?.verdict).toBe("ok");
  });

  it("fails for a data directory that is a file or cannot be written", async () => {
    const aFile = await examine(["--data", "taken"], {}, (rig) => writeFile(rig.path("taken"), ""));
    expect(aFile).toMatchObject({ code: 1 });
    expect(aFile.of("data")?.sentence).toContain("is not a directory");
    const broken = await examine([], {}, (rig) => {
      rig.ports.disk.open = async () => {
        throw new TroupeError("DISK_FAILED", "EACCES.");
      };
    });
    expect(broken.of("data")).toMatchObject({ verdict: "fail", sentence: expect.stringContaining("cannot be written: EACCES.") });
  });

  it("fails when the disk is full, and warns when it soon is", async () => {
    const withFree = (freeBytes: number) =>
      examine([], {}, (rig) => {
        rig.ports.disk.space = async () => ({ freeBytes, totalBytes: 2 ** 40 });
      });
    expect((await withFree(2 ** 20)).of("data")?.verdict).toBe("fail");
    expect((await withFree(2 ** 30)).of("data")?.verdict).toBe("warn");
    expect((await withFree(2 ** 39)).of("data")?.verdict).toBe("ok");
  });

  it("tells our gateway on the port from another program", async () => {
    const taken: Partial<Machine> = { portState: async () => ({ kind: "taken" }) };
    expect((await examine([], taken)).of("port")).toMatchObject({ verdict: "ok", sentence: expect.stringContaining("Troupe gateway") });
    const other = await examine([], taken, (rig) => {
      rig.gateway.before = (seen) => (seen === "GET /readyz" ? { status: 200, headers: {}, body: once("<html>") } : undefined);
    });
    expect(other.of("port")).toMatchObject({ verdict: "fail", sentence: expect.stringContaining("Another program") });
    expect(other.of("gateway")).toMatchObject({ verdict: "fail", sentence: expect.stringContaining("not a Troupe gateway") });
    expect((await examine([], { portState: async () => ({ kind: "impossible", reason: "EACCES" }) })).of("port")?.verdict).toBe("fail");
  });

  it("does not suspect a firewall before somebody who answered and said no", async () => {
    const { of } = await examine(["--gateway", "http://other.test"], {}, (rig) => {
      rig.gateway.before = () => {
        throw new TroupeError("FORBIDDEN", "NATS let 'observer' in.");
      };
    });
    expect(of("gateway")).toMatchObject({ verdict: "fail", sentence: "NATS let 'observer' in." });
  });

  it("says in words why a gateway is not ready", async () => {
    const { of } = await examine([], {}, (rig) => {
      rig.gateway.before = (seen) =>
        seen === "GET /readyz"
          ? json(503, {
              ready: false,
              checks: { bus: { ok: true }, storage: { ok: false, code: "NO_NODES", reason: "No storage node is up." } },
            })
          : undefined;
    });
    expect(of("gateway")).toMatchObject({ verdict: "fail", sentence: expect.stringContaining("storage: No storage node is up.") });
  });

  it("warns of what is missing at a gateway that is ready all the same", async () => {
    const disk = { ok: false, code: "DISK_FULL", reason: "No storage node takes uploads." };
    const { of } = await examine([], {}, (rig) => {
      rig.gateway.before = (seen) => (seen === "GET /readyz" ? json(200, { ready: true, checks: { bus: { ok: true }, disk } }) : undefined);
    });
    expect(of("gateway")).toMatchObject({ verdict: "warn", sentence: expect.stringContaining("disk: No storage node takes uploads.") });
  });

  it("fails when a gateway that was named does not answer, and only warns about one that may not be started yet", async () => {
    const dead = (rig: Awaited<ReturnType<typeof commandRig>>) => {
      rig.gateway.before = () => {
        throw new TroupeError("UNAVAILABLE", "connection refused");
      };
    };
    expect((await examine([], {}, dead)).code).toBe(1);
    const { code, of } = await examine(["--gateway", "http://127.0.0.1:8080"], {}, dead);
    expect(code).toBe(0);
    expect(of("gateway")).toMatchObject({ verdict: "warn", sentence: expect.stringContaining("npm start") });
  });

  it("tells a missing token from a wrong one", async () => {
    const refuse = (rig: Awaited<ReturnType<typeof commandRig>>) => {
      rig.gateway.before = (seen) => (seen.startsWith("GET /api/") ? problem(401, "UNAUTHORIZED") : undefined);
    };
    expect((await examine([], {}, refuse)).of("access")?.sentence).toContain("wants a token");
    expect((await examine(["--token", "a:b"], {}, refuse)).of("access")?.sentence).toContain("does not know this token");
  });

  it("F9: warns when the clocks are apart", async () => {
    const at = (date: string) =>
      examine([], {}, (rig) => {
        rig.gateway.after = (_, response) => ({ ...response, headers: { ...response.headers, date } });
      });
    expect((await at("Thu, 01 Jan 2026 01:00:00 GMT")).of("clock")).toMatchObject({
      verdict: "warn",
      sentence: expect.stringContaining("apart"),
    });
    expect((await at("Thu, 01 Jan 2026 00:00:02 GMT")).of("clock")?.verdict).toBe("ok");
  });

  it("tells wrong settings, and goes on with the rest", async () => {
    const { code, of } = await examine(["--port", "x"]);
    expect(code).toBe(1);
    expect(of("settings")).toMatchObject({ verdict: "fail" });
    expect(of("gateway")?.verdict).toBe("ok");
  });
});
