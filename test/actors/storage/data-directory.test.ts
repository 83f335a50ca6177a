/** What a data directory keeps of its starts. */
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { openDataDirectory } from "../../../src/actors/storage/data-directory.ts";
import { NodeDisk } from "../../../src/store/node-disk.ts";
import { diskFull, FaultyDisk } from "../../support/faulty-disk.ts";
import { SeededRandom } from "../../support/seeded-random.ts";
import { temporaryDirectory } from "../../support/temporary-directory.ts";
import { VirtualClock } from "../../support/virtual-clock.ts";

const HOUR_MS = 3_600_000;

class Starts implements AsyncDisposable {
  readonly clock = new VirtualClock();
  readonly disk = new FaultyDisk(new NodeDisk());
  readonly random = new SeededRandom(7);
  readonly root: string;
  readonly markerPath: string;
  readonly #directory: AsyncDisposable;

  static async open(): Promise<Starts> {
    const directory = await temporaryDirectory();
    return new Starts(directory, directory.path);
  }

  private constructor(directory: AsyncDisposable, root: string) {
    this.#directory = directory;
    this.root = root;
    this.markerPath = join(root, "marker.json");
  }

  take() {
    return openDataDirectory(this, this.root, undefined);
  }

  /** A process that takes the directory and ends. @returns what it goes by */
  async pass() {
    const { nodeId, madeMs, startedMs, release } = await this.take();
    await release();
    return { nodeId, madeMs, startedMs };
  }

  async rewriteMarker(changes: Record<string, unknown>): Promise<string> {
    const marker = JSON.parse(await readFile(this.markerPath, "utf8")) as Record<string, unknown>;
    const text = JSON.stringify({ ...marker, ...changes });
    await writeFile(this.markerPath, text);
    return text;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#directory[Symbol.asyncDispose]();
  }
}

describe("a data directory's starts", () => {
  it("F9: are in order also when the wall clock stands still or is set back, and tell wall time again when it has caught up", async () => {
    await using starts = await Starts.open();
    const first = await starts.pass();
    expect(first.startedMs).toBe(starts.clock.wallMs());
    const second = await starts.pass();
    starts.clock.jumpWall(-HOUR_MS);
    const third = await starts.pass();
    expect([second.startedMs, third.startedMs]).toEqual([first.startedMs + 1, first.startedMs + 2]);
    starts.clock.jumpWall(2 * HOUR_MS);
    expect(await starts.pass()).toEqual({ ...first, startedMs: starts.clock.wallMs() });
  });

  it("are later than what a marker tells that was written before starts were", async () => {
    await using starts = await Starts.open();
    const { madeMs } = await starts.pass();
    await starts.rewriteMarker({ startedMs: undefined });
    starts.clock.jumpWall(-HOUR_MS);
    expect(await starts.pass()).toMatchObject({ madeMs, startedMs: madeMs + 1 });
    expect(await starts.pass()).toMatchObject({ madeMs, startedMs: madeMs + 2 });
  });

  it("are durable before anybody is told of them", async () => {
    await using starts = await Starts.open();
    await starts.pass();
    const calls: string[] = [];
    starts.disk.intercept = (call, path) => {
      if (["sync", "rename", "syncDirectory"].includes(call)) calls.push(`${call} ${path.slice(starts.root.length + 1)}`);
    };
    await starts.pass();
    expect(calls).toEqual(["sync marker.json.new", "rename marker.json", "syncDirectory "]);
  });

  it("F20: are not counted by who finds the directory in use", async () => {
    await using starts = await Starts.open();
    const owner = await starts.take();
    const before = await readFile(starts.markerPath, "utf8");
    await expect(starts.take()).rejects.toMatchObject({ code: "DIRECTORY_IN_USE" });
    expect(await readFile(starts.markerPath, "utf8")).toBe(before);
    await owner.release();
  });

  it("F3: happen on a full disk too, so that reads go on", async () => {
    await using starts = await Starts.open();
    const { startedMs } = await starts.pass();
    starts.disk.intercept = (call, path) => {
      if (call === "write") throw diskFull(path);
    };
    expect((await starts.pass()).startedMs).toBe(startedMs + 1);
    starts.disk.intercept = () => {};
    await starts.rewriteMarker({});
    expect((await starts.pass()).startedMs).toBe(startedMs + 1);
  });

  it.each([-1, 0.5, "5", null, Number.MAX_SAFE_INTEGER])(
    "are refused where the marker tells of a start at %s, and nothing is touched",
    async (startedMs) => {
      await using starts = await Starts.open();
      await starts.pass();
      const text = await starts.rewriteMarker({ startedMs });
      await expect(starts.take()).rejects.toMatchObject({ code: "MARKER_MISSING" });
      expect(await readFile(starts.markerPath, "utf8")).toBe(text);
    },
  );
});
