import { createHash } from "node:crypto";
import fc from "fast-check";
import { expect, it } from "vitest";
import { ChunkIntake } from "../../../src/actors/upload/chunk-intake.ts";
import { ChunkReader } from "../../../src/actors/upload/chunk-reader.ts";
import { LateSize } from "../../../src/actors/upload/late-size.ts";
import type { SessionPorts } from "../../../src/actors/upload/ports.ts";
import { Reservation } from "../../../src/actors/upload/reservation.ts";
import { createSessionFolder, openData } from "../../../src/actors/upload/session-files.ts";
import { openSessionJournal } from "../../../src/actors/upload/session-journal.ts";
import type { TroupeError } from "../../../src/core/errors.ts";
import { SILENT_LOG } from "../../../src/core/log.ts";
import type { Disk } from "../../../src/core/ports/disk.ts";
import { WriteBlocks } from "../../../src/core/write-blocks.ts";
import { InlineHasher } from "../../support/inline-hasher.ts";
import { LosingDisk } from "../../support/losing-disk.ts";
import { SeededRandom } from "../../support/seeded-random.ts";
import { piecesOf, someBytes } from "../../support/troupe.ts";
import { VirtualClock } from "../../support/virtual-clock.ts";

const CHUNK = 2 * 65_536;
const FOLDER = "/upload";

const ENDINGS = ["whole", "breaks", "atomic", "atomic breaks", "right digest", "wrong digest"] as const;
type Ending = (typeof ENDINGS)[number];

interface Step {
  readonly bytes: number;
  readonly ending: Ending;
  readonly pieceBytes: number;
  /** The power is cut, or the disk is full, at this call. */
  readonly cutAt: number | undefined;
  readonly fullAt: number | undefined;
  /** The sender believes that it is so much further than it is. */
  readonly astray: number;
  /** Somebody asks how far it came before it has ended. */
  readonly settles: boolean;
}

const step: fc.Arbitrary<Step> = fc.record({
  bytes: fc.oneof(fc.integer({ min: 1, max: 40 }), fc.integer({ min: 1, max: 3 * CHUNK }), fc.constantFrom(65_536, CHUNK, CHUNK - 1)),
  ending: fc.constantFrom(...ENDINGS),
  pieceBytes: fc.constantFrom(7_000, 65_536, 300_000),
  cutAt: fc.option(fc.integer({ min: 1, max: 30 }), { nil: undefined, freq: 3 }),
  fullAt: fc.option(fc.integer({ min: 1, max: 12 }), { nil: undefined, freq: 5 }),
  astray: fc.oneof({ weight: 6, arbitrary: fc.constant(0) }, { weight: 1, arbitrary: fc.constantFrom(-CHUNK, -1, 1, CHUNK) }),
  settles: fc.boolean(),
});

/** What of the session its bodies meet: the parts that are real are those under test. */
async function open(disk: Disk) {
  const hasher = new InlineHasher(disk);
  const recorded = await openSessionJournal(disk, hasher, FOLDER, 2 ** 40);
  const { plan, ledger, journal } = recorded;
  let reservedBytes = 0;
  const resize = (bytes: number): void => {
    reservedBytes += bytes;
  };
  const node = { reserve: async (bytes: number) => resize(bytes), restoreReservation: resize, settle: (bytes: number) => resize(-bytes) };
  const ports = {
    disk,
    hasher,
    blocks: new WriteBlocks(),
    clock: new VirtualClock(),
    log: SILENT_LOG,
    node: { ...node, suspect: () => {} },
  } as unknown as SessionPorts;
  const data = openData(disk, FOLDER);
  const reservation = new Reservation(ports.node);
  if (ledger.sizeBytes !== undefined) reservation.restore(ledger.sizeBytes - ledger.receivedBytes);
  const own = {
    ports,
    plan,
    ledger,
    journal,
    data,
    turn: async <T>(_: string, work: () => T): Promise<T> => {
      await Promise.resolve();
      return work();
    },
    apply: () => {},
    refuse: () => {},
    isSealed: () => false,
    reservation,
    received: () => {},
  };
  const intake = new ChunkIntake(own);
  const lateSize = new LateSize(own);
  await lateSize.sealWholeTail();
  return {
    intake,
    ledger,
    lateSize,
    data,
    reader: new ChunkReader({ hasher, plan, ledger, journal, data }),
    reservedBytes: () => reservedBytes,
  };
}
type Opened = Awaited<ReturnType<typeof open>>;

/**
 * Sends content from the offset on as a sender does who cuts it at the borders of chunks: the next body begins when the one before has been
 * read. @returns how far it was acknowledged
 */
async function send(opened: Opened, content: Buffer, offset: number, { bytes, ending, pieceBytes, settles }: Step): Promise<number> {
  const end = Math.min(content.length, offset + bytes);
  const sent: Promise<number>[] = [];
  for (let at = offset; at < end; ) {
    const index = Math.floor(at / CHUNK);
    const until = Math.min(end, (index + 1) * CHUNK);
    const body = content.subarray(at, until);
    const isLast = until === end;
    const value = createHash("sha1")
      .update(ending === "wrong digest" ? "other" : body)
      .digest("hex");
    const read = Promise.withResolvers<boolean>();
    async function* pieces(): AsyncGenerator<Uint8Array> {
      yield* piecesOf(body, pieceBytes);
      read.resolve(true);
      if (isLast && ending.endsWith("breaks")) throw new Error("the line broke");
    }
    const stored = opened.intake.store({
      uploadId: "upload1",
      index,
      fromBytes: at % CHUNK,
      bytes: pieces(),
      isAtomic: ending.startsWith("atomic"),
      digests: ending.endsWith("digest") ? [{ algorithm: "sha1", value }] : [],
      signal: new AbortController().signal,
    });
    sent.push(stored.then(({ lengthBytes }) => index * CHUNK + lengthBytes));
    const isRead = await Promise.race([
      read.promise,
      stored.then(
        () => true,
        () => false,
      ),
    ]);
    if (!isRead) break;
    at = until;
  }
  const settling = settles ? opened.intake.settle() : undefined;
  const outcomes = await Promise.allSettled(sent);
  await settling;
  await opened.intake.idle();
  return Math.max(0, ...outcomes.map((outcome) => (outcome.status === "fulfilled" ? outcome.value : 0)));
}

async function check(opened: Opened, content: Buffer): Promise<void> {
  const { ledger, data, reader } = opened;
  expect(ledger.inFlightCount).toBe(0);
  expect(opened.reservedBytes()).toBe(ledger.sizeBytes === undefined ? 0 : ledger.sizeBytes - ledger.receivedBytes);
  const stored = Buffer.alloc(ledger.offsetBytes);
  if (stored.length > 0) await data.read(stored, 0);
  expect(stored.equals(content.subarray(0, stored.length))).toBe(true);
  for (let index = 0; index < ledger.prefixCount; index += 1) expect(await reader.isIntact(index)).toBe(true);
}

it("F6: bytes that go on are never lost once they were answered for, through breaks, cuts of the power and full disks", async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 12 }), fc.boolean(), fc.integer(), async (steps, isSizeKnown, seed) => {
      const content = someBytes(4 * CHUNK + 12_345, 3);
      const disk = new LosingDisk(new SeededRandom(seed));
      const port = disk as unknown as Disk;
      const plan = {
        uploadId: "upload1",
        fileId: "0".repeat(36),
        app: "default",
        user: "default",
        name: "film",
        contentType: "video/mp4",
        chunkBytes: CHUNK,
        createdMs: 0,
        ...(isSizeKnown ? { sizeBytes: content.length } : {}),
      };
      await createSessionFolder(port, new InlineHasher(port), FOLDER, { plan, owner: "local" });
      let opened = await open(port);
      let answered = 0;
      for (const each of steps) {
        const offset = opened.ledger.offsetBytes;
        disk.callsLeft = each.cutAt ?? Number.POSITIVE_INFINITY;
        disk.callsUntilFull = each.fullAt ?? Number.POSITIVE_INFINITY;
        const acknowledged = await send(opened, content, Math.max(0, offset + each.astray), each);
        answered = Math.max(answered, acknowledged);
        const { isCut } = disk;
        if (isCut) {
          disk.restart();
          opened = await open(port);
        }
        disk.callsLeft = disk.callsUntilFull = Number.POSITIVE_INFINITY;
        const { offsetBytes } = opened.ledger;
        expect(offsetBytes).toBeGreaterThanOrEqual(Math.max(offset, answered));
        // After a cut, an entry may be there that was taken back and never answered for; what it speaks of is there, too.
        const countsNothing = each.ending === "wrong digest" || (each.astray !== 0 && offset + each.astray >= 0);
        if (countsNothing && !isCut) expect(offsetBytes).toBe(offset);
        await check(opened, content);
      }
      const rest = { bytes: content.length, ending: "whole", pieceBytes: 65_536, settles: false } as Step;
      await send(opened, content, opened.ledger.offsetBytes, rest);
      if (!isSizeKnown) await opened.lateSize.declare(content.length);
      expect(opened.ledger.completeBytes).toBe(content.length);
      await check(opened, content);
      expect(opened.reservedBytes()).toBe(0);
      expect(await opened.lateSize.declare(content.length + 1).catch((error: TroupeError) => error.code)).toBe("UPLOAD_SIZE_FIXED");
    }),
    { numRuns: 60 },
  );
});
