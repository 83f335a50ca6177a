/**
 * One upload, everything at once: chunks, merges, cancels, time, restarts, crashes, a full disk, a database that answers late, not, or only
 * after it has committed. Whatever the order, there is exactly one outcome, everybody who is told one is told that one, and nothing is left
 * over. A disk in memory and a clock that the test moves make each run repeatable by its seed.
 */
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout } from "node:timers/promises";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { CatalogTables } from "../../../src/actors/catalog/tables.ts";
import {
  initialSnapshot,
  refusal,
  type SessionCommand,
  type SessionEvent,
  type SessionSnapshot,
  stateOf,
  step,
} from "../../../src/actors/upload/machine.ts";
import { ERRORS, TroupeError } from "../../../src/core/errors.ts";
import { sleep } from "../../../src/core/ports/clock.ts";
import type { Database } from "../../../src/core/ports/database.ts";
import { isEnded, type UploadState } from "../../../src/core/shapes.ts";
import { diskFull, FaultyDisk } from "../../support/faulty-disk.ts";
import { MemoryDisk } from "../../support/memory-disk.ts";
import { type TemporaryDirectory, temporaryDirectory } from "../../support/temporary-directory.ts";
import { AS_LOCAL, piecesOf, readFile, someBytes, startTroupe, type Troupe } from "../../support/troupe.ts";
import { gatewayOf, type Told, type TroupeGateway } from "../../support/troupe-gateway.ts";
import { settle, VirtualClock } from "../../support/virtual-clock.ts";

const CHUNK = 65_536;
const SIZES = [CHUNK, 10] as const;
const EXPIRY_MS = 4_000;
const UPLOADS = "/api/v1/uploads";

describe("the machine", () => {
  const ERROR = { code: "DISK_FULL", detail: "full", retryable: true };
  const events: readonly SessionEvent[] = [
    { type: "chunk.claimed" },
    { type: "chunk.released" },
    { type: "chunk.received" },
    { type: "merge.requested", isComplete: true },
    { type: "merge.requested", isComplete: false },
    { type: "file.verified", digests: { blake3: "00".repeat(32) } },
    { type: "digest.mismatched", error: ERROR },
    { type: "file.replicated", copies: 1 },
    { type: "commit.sent" },
    { type: "file.committed" },
    { type: "merge.interrupted", error: ERROR },
    { type: "session.broken", error: ERROR },
    { type: "cancel.requested" },
    { type: "idle.expired" },
  ];
  const commands: readonly SessionCommand[] = ["storeChunk", "merge", "cancel"];

  it("F22: ends once and in one way, whatever comes in whatever order, and answers every command everywhere", () => {
    fc.assert(
      fc.property(fc.array(fc.constantFrom(...events), { maxLength: 60 }), fc.boolean(), (happened, isCommitUncertain) => {
        let snapshot: SessionSnapshot = step(initialSnapshot(), { type: "session.opened", receivedCount: 0, isCommitUncertain }).snapshot;
        const ends: UploadState[] = [];
        for (const event of happened) {
          const before = stateOf(snapshot);
          const { snapshot: next, actions } = step(snapshot, event);
          const after = stateOf(next);
          if (isEnded(before)) expect([after, actions]).toEqual([before, []]);
          else if (isEnded(after)) ends.push(after);
          // A commit that has begun, or may have happened, is neither cancelled nor does it expire.
          if (snapshot.context.isCommitUncertain || before === "committing") expect(["cancelled", "expired"]).not.toContain(after);
          // Each end is carried out, by its own action and no other.
          expect(actions.filter((action) => action === "endMerged" || action === "endUpload")).toEqual(
            isEnded(after) && !isEnded(before) ? [after === "merged" ? "endMerged" : "endUpload"] : [],
          );
          snapshot = next;
          for (const command of commands) {
            const code = refusal(snapshot, command);
            if (code !== undefined) expect(ERRORS[code].http).toBeGreaterThanOrEqual(400);
            // What is not refused is not ignored either.
            else if (command === "cancel" && !isEnded(after))
              expect(stateOf(step(snapshot, { type: "cancel.requested" }).snapshot)).toBe("cancelled");
            else if (command === "merge" && after === "receiving")
              expect(stateOf(step(snapshot, { type: "merge.requested", isComplete: true }).snapshot)).toBe("verifying");
          }
        }
        expect(ends.length).toBeLessThanOrEqual(1);
      }),
      { numRuns: 2_000 },
    );
  });
});

type DatabaseFault = "refused" | "lost" | "late";

/** The next transactions go wrong as planned; and while it is cut off, all do. */
class UnreliableDatabase implements Database<CatalogTables> {
  readonly inner: Database<CatalogTables>;
  readonly faults: DatabaseFault[] = [];
  isCutOff = false;

  constructor(inner: Database<CatalogTables>) {
    this.inner = inner;
  }

  transact: Database<CatalogTables>["transact"] = async (work) => {
    const fault = this.faults.shift();
    if (this.isCutOff || fault === "refused") throw new TroupeError("DATABASE_UNAVAILABLE", "refused");
    if (fault === "late") await settle(30);
    const result = await this.inner.transact(work);
    if (this.isCutOff || fault === "lost")
      throw new TroupeError("DATABASE_UNAVAILABLE", "the answer was lost", { facts: { outcomeUnknown: true } });
    return result;
  };

  read: Database<CatalogTables>["read"] = (work) => this.inner.read(work);
  close(): Promise<void> {
    return this.inner.close();
  }
}

const DISK_FAULTS = {
  journal: (call: string, path: string) => call === "write" && path.endsWith("/journal"),
  data: (call: string, path: string) => call === "write" && path.endsWith("/data"),
  leaves: (call: string, path: string) => call === "open" && path.endsWith("/leaves"),
  link: (call: string) => call === "link",
  directory: (call: string, path: string) => call === "syncDirectory" && path.includes("/blobs"),
} as const;

/** A process that may be stopped or killed and started again, and two gateways to it. */
class Process {
  readonly clock = new VirtualClock();
  readonly #directory: TemporaryDirectory;
  readonly memory: MemoryDisk;
  readonly disk: FaultyDisk;
  readonly diskFaults: (keyof typeof DISK_FAULTS)[] = [];
  database!: UnreliableDatabase;
  troupe!: Troupe;
  gateways: TroupeGateway[] = [];
  #isKilled = false;

  private constructor(directory: TemporaryDirectory) {
    this.#directory = directory;
    this.memory = new MemoryDisk(directory.path);
    this.disk = new FaultyDisk(this.memory);
    this.disk.intercept = (call, path) => {
      if (this.#isKilled) throw new TroupeError("UNAVAILABLE", "the process is dead");
      const index = this.diskFaults.findIndex((fault) => DISK_FAULTS[fault](call, path));
      if (index < 0) return;
      this.diskFaults.splice(index, 1);
      throw diskFull(path);
    };
  }

  static async begin(): Promise<Process> {
    const directory = await temporaryDirectory();
    // Databases are on the real disk; all else is in memory.
    await mkdir(join(directory.path, "database"));
    const process = new Process(directory);
    await process.whileTimePasses(process.start());
    return process;
  }

  async end(): Promise<void> {
    await this.whileTimePasses(this.stop());
    await this.#directory[Symbol.asyncDispose]();
  }

  async start(): Promise<void> {
    this.troupe = await startTroupe({
      root: this.#directory.path,
      clock: this.clock,
      disk: this.disk,
      idleExpiryMs: EXPIRY_MS,
      wrapStorageDatabase: (inner) => {
        this.database = new UnreliableDatabase(inner);
        return this.database;
      },
    });
    this.gateways = [gatewayOf(this.troupe), gatewayOf(this.troupe)];
  }

  async restart(how: "stopped" | "killed"): Promise<void> {
    this.reliable();
    if (how === "killed") {
      // From here on nothing that it does reaches anything.
      this.#isKilled = true;
      this.database.isCutOff = true;
    }
    await this.whileTimePasses(this.stop());
    this.#isKilled = false;
    await this.whileTimePasses(this.start());
  }

  async stop(): Promise<void> {
    await Promise.all(this.gateways.map((gateway) => gateway.stop()));
    await this.troupe.stop();
  }

  reliable(): void {
    this.diskFaults.length = 0;
    this.database.faults.length = 0;
  }

  async whileTimePasses<T>(work: Promise<T>): Promise<T> {
    let isOver = false;
    const over = (): void => {
      isOver = true;
    };
    work.then(over, over);
    for (let round = 0; !isOver; round += 1) {
      if (round > 3_000) throw new Error("five minutes are not enough");
      // Migrations are read from the real disk, which has its own time.
      await (round < 100 ? settle(5) : setTimeout(2));
      if (!isOver) await this.clock.advance(100);
    }
    return await work;
  }
}

/** What may be answered by whoever cannot say how it ended: ask again. */
const UNDECIDED = [
  "UPLOAD_INCOMPLETE",
  "UPLOAD_BUSY",
  "UPLOAD_COMMITTING",
  "CHUNK_CONFLICT",
  "DATABASE_UNAVAILABLE",
  "DEADLINE_EXCEEDED",
  "DISK_FULL",
  "HOST_UNAVAILABLE",
  "NO_NODES",
  "UNAVAILABLE",
  "BUS_UNAVAILABLE",
  "STOPPING",
  "CANCELLED",
];
const STATE_OF_CODE: Readonly<Record<string, UploadState>> = {
  UPLOAD_MERGED: "merged",
  UPLOAD_CANCELLED: "cancelled",
  UPLOAD_EXPIRED: "expired",
  UPLOAD_FAILED: "failed",
};

type Step =
  | { readonly do: "chunk"; readonly index: number; readonly variant: number; readonly pieceBytes: number; readonly breaks: boolean }
  | { readonly do: "merge" | "mergeLater" | "cancel" | "status" | "create" }
  | { readonly do: "time"; readonly ms: number }
  | { readonly do: "database"; readonly fault: DatabaseFault }
  | { readonly do: "disk"; readonly fault: keyof typeof DISK_FAULTS }
  | { readonly do: "restart"; readonly how: "stopped" | "killed" };

interface Run {
  readonly steps: readonly { readonly step: Step; readonly gateway: number; readonly pause: number }[];
  /** Whether its content is that of other runs, too. */
  readonly content: number;
  readonly ending: "merge" | "cancel" | "expire";
}

const stepArbitrary: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 8,
    arbitrary: fc.record({
      do: fc.constant("chunk" as const),
      index: fc.constantFrom(0, 1),
      variant: fc.constantFrom(0, 0, 0, 1),
      pieceBytes: fc.constantFrom(7, 30_000, CHUNK),
      breaks: fc.constantFrom(false, false, false, true),
    }),
  },
  { weight: 8, arbitrary: fc.record({ do: fc.constantFrom("merge", "mergeLater", "cancel", "status", "create") }) as fc.Arbitrary<Step> },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("time" as const), ms: fc.constantFrom(100, 1_000, EXPIRY_MS) }) },
  { weight: 3, arbitrary: fc.record({ do: fc.constant("database" as const), fault: fc.constantFrom("refused", "lost", "late") }) },
  {
    weight: 1,
    arbitrary: fc.record({
      do: fc.constant("disk" as const),
      fault: fc.constantFrom(...(Object.keys(DISK_FAULTS) as (keyof typeof DISK_FAULTS)[])),
    }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("restart" as const), how: fc.constantFrom("stopped", "killed") }) },
);

const runArbitrary: fc.Arbitrary<Run> = fc.record({
  steps: fc.array(fc.record({ step: stepArbitrary, gateway: fc.constantFrom(0, 1), pause: fc.nat(25) }), { minLength: 1, maxLength: 14 }),
  content: fc.nat(5),
  ending: fc.constantFrom("merge", "cancel", "expire"),
});

const chunkOf = (content: number, index: number, variant: number): Buffer =>
  someBytes(SIZES[index] as number, 1_000 * content + 10 * index + variant);

async function* brokenBody(bytes: Uint8Array, pieceBytes: number): AsyncGenerator<Uint8Array> {
  for await (const piece of piecesOf(bytes.subarray(0, bytes.length / 2), pieceBytes)) yield piece;
  throw new TroupeError("CANCELLED", "the client is gone");
}

class Scenario {
  readonly #process: Process;
  readonly #run: Run;
  readonly #key: string;
  #uploadId = "";
  #fileId = "";
  readonly #answers: { readonly step: Step; readonly told: Told }[] = [];
  readonly #underWay: Promise<void>[] = [];

  constructor(process: Process, run: Run, key: string) {
    this.#process = process;
    this.#run = run;
    this.#key = key;
  }

  async play(): Promise<void> {
    const process = this.#process;
    const first = await process.whileTimePasses(this.#ask({ do: "create" }, 0));
    expect(first.status).toBe(201);
    this.#uploadId = String(first.json["uploadId"]);
    for (const { step, gateway, pause } of this.#run.steps) {
      if (step.do === "time") await process.clock.advance(step.ms);
      else if (step.do === "database") process.database.faults.push(step.fault);
      else if (step.do === "disk") process.diskFaults.push(step.fault);
      else if (step.do === "restart") await process.restart(step.how);
      else this.#underWay.push(this.#ask(step, gateway).then((told) => void this.#answers.push({ step, told })));
      await settle(pause);
    }
    await process.whileTimePasses(Promise.all(this.#underWay));
    process.reliable();
    await process.whileTimePasses(this.#bringToAnEnd());
    await this.#check();
  }

  #ask(step: Step, gatewayIndex: number): Promise<Told> {
    const gateway = this.#process.gateways[gatewayIndex] as TroupeGateway;
    const path = `${UPLOADS}/${this.#uploadId}`;
    switch (step.do) {
      case "chunk": {
        const bytes = chunkOf(this.#run.content, step.index, step.variant);
        const body = step.breaks ? brokenBody(bytes, step.pieceBytes) : piecesOf(bytes, step.pieceBytes);
        return gateway.ask("PUT", `${path}/chunks/${step.index}`, { body });
      }
      case "merge":
        return gateway.ask("POST", `${path}/merge`);
      case "mergeLater":
        return gateway.ask("POST", `${path}/merge`, { headers: { prefer: "respond-async" } });
      case "cancel":
        return gateway.ask("DELETE", path);
      case "create":
        return gateway.post(UPLOADS, { name: "a", size: CHUNK + 10, chunkBytes: CHUNK, idempotencyKey: this.#key });
      default:
        return gateway.ask("GET", path);
    }
  }

  async #state(): Promise<UploadState> {
    const { state, fileId } = await this.#process.troupe.catalog.upload({ uploadId: this.#uploadId }, AS_LOCAL);
    this.#fileId = fileId;
    return state;
  }

  /** As a client does that keeps trying, or one that gives up. */
  async #bringToAnEnd(): Promise<void> {
    const gone = (): boolean => !this.#process.memory.files().some((path) => path.includes(`/uploads/${this.#uploadId}/`));
    for (let attempt = 0; !isEnded(await this.#state()) || !gone(); attempt += 1) {
      // Who is told to ask again later does.
      await sleep(this.#process.clock, 250);
      if (attempt > 100) throw new Error(`The upload is still ${await this.#state()}, its folder ${gone() ? "gone" : "there"}.`);
      if (isEnded(await this.#state()) || this.#run.ending === "expire") {
        await this.#process.clock.advance(EXPIRY_MS);
        continue;
      }
      if (this.#run.ending === "merge")
        for (const index of [0, 1]) {
          const variant = [...this.#acknowledged(index)][0] ?? 0;
          const step: Step = { do: "chunk", index, variant, pieceBytes: CHUNK, breaks: false };
          this.#answers.push({ step, told: await this.#ask(step, 0) });
        }
      const step: Step = { do: this.#run.ending };
      this.#answers.push({ step, told: await this.#ask(step, 0) });
    }
  }

  /** Which of two contents a chunk was said to have. */
  #acknowledged(index: number): Set<number> {
    return new Set(
      this.#answers.flatMap(({ step, told }) => (step.do === "chunk" && step.index === index && told.status === 200 ? [step.variant] : [])),
    );
  }

  async #check(): Promise<void> {
    const { troupe, memory, database } = this.#process;
    const state = await this.#state();
    expect(isEnded(state)).toBe(true);
    for (const { step, told } of this.#answers) this.#checkAnswer(step, told, state);

    const file = await troupe.catalog.file({ fileId: this.#fileId }, AS_LOCAL).catch((error: TroupeError) => error.code);
    if (state !== "merged") expect(file).toBe("FILE_NOT_FOUND");
    else {
      const bytes = await readFile(troupe, this.#fileId);
      for (const [index, offset] of [0, CHUNK].entries()) {
        const part = bytes.subarray(offset, offset + (SIZES[index] as number));
        const variants = [0, 1].filter((variant) => part.equals(chunkOf(this.#run.content, index, variant)));
        expect(variants).toHaveLength(1);
        // F21: what was acknowledged is what is there, and nothing else was.
        expect([[], variants]).toContainEqual([...this.#acknowledged(index)]);
      }
    }

    // Nothing is reserved, hosted or arriving any more. A repeated creation that its process did not survive may have left a folder that
    // nobody was told of: it expires like any other.
    const hosted = async () => {
      const { reservedBytes, uploadCount } = await troupe.storage.status({});
      return [reservedBytes, uploadCount];
    };
    for (let round = 0; (await hosted())[1] !== 0 && round < 3; round += 1) await this.#process.clock.advance(EXPIRY_MS + 1_000);
    expect(await hosted()).toEqual([0, 0]);
    expect(memory.files().filter((path) => path.includes("/uploads/"))).toEqual([]);

    // The disk has the blobs that the catalog knows and no other; each is referred to as often as its row says.
    const { blobs, files } = await database.read(async (query) => ({
      blobs: await query.selectFrom("t_blob").select(["blob_id", "path", "reference_count", "live"]).execute(),
      files: [
        ...(await query.selectFrom("t_file_01").select("blob_id").execute()),
        ...(await query.selectFrom("t_file_02").select("blob_id").execute()),
        ...(await query.selectFrom("t_file_03").select("blob_id").execute()),
      ],
    }));
    for (const blob of blobs)
      expect([blob.live, blob.reference_count]).toEqual([1n, BigInt(files.filter(({ blob_id }) => blob_id === blob.blob_id).length)]);
    const onDisk = memory.files().filter((path) => path.includes("/blobs/"));
    const expected = blobs.flatMap(({ path }) => [path, `${path}.leaves`, `${path}.record`]);
    expect(onDisk.map((path) => path.slice(path.indexOf("/blobs/") + 7)).sort()).toEqual(expected.sort());
  }

  #checkAnswer(step: Step, { status, json }: Told, state: UploadState): void {
    const code = json["code"] as string | undefined;
    const told = { step, status, code, state };
    if (code !== undefined) {
      const claimed = STATE_OF_CODE[code];
      if (claimed === undefined) expect(UNDECIDED, JSON.stringify(told)).toContain(code);
      else expect(claimed, JSON.stringify(told)).toBe(state);
      return;
    }
    expect(status, JSON.stringify(told)).toBeLessThan(300);
    if (step.do === "create") expect(json["uploadId"]).toBe(this.#uploadId);
    if (step.do === "cancel") expect(state, JSON.stringify(told)).toBe("cancelled");
    if ((step.do === "merge" || step.do === "mergeLater") && status === 200)
      expect([state, json["fileId"]], JSON.stringify(told)).toEqual(["merged", this.#fileId]);
    if (step.do === "status" && isEnded(json["state"] as UploadState)) expect(json["state"], JSON.stringify(told)).toBe(state);
  }
}

describe("an upload in which everything happens at once", () => {
  it("F11, F19, F21, F22: has one outcome, on which all agree, and leaves nothing over", async () => {
    let process: Process | undefined;
    let runCount = 0;
    try {
      await fc.assert(
        fc.asyncProperty(runArbitrary, async (run) => {
          runCount += 1;
          process ??= await Process.begin();
          try {
            await new Scenario(process, run, `key-${runCount}`).play();
          } catch (error) {
            // What one run has left over must not spoil the next.
            const spoilt = process;
            process = undefined;
            await spoilt.end();
            throw error;
          }
        }),
        { numRuns: 60, interruptAfterTimeLimit: 10_000 },
      );
    } finally {
      await process?.end();
    }
    expect(runCount).toBeGreaterThan(5);
  });
});
