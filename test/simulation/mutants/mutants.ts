/** The planted bugs. Each stands for a rule of the design that somebody could break without noticing; see docs/SIMULATION.md. */
import { drawLateWords } from "./late-words.ts";
import type { Mutant } from "./mutant.ts";

/** Most show at once; some need a fault at the right moment. */
const SOON = 5;
const LATER = 100;

const UPLOAD_MUTANTS: readonly Mutant[] = [
  {
    name: "chunk-acknowledged-before-sync",
    wrong: "A chunk is recorded and acknowledged although its bytes were not synced.",
    changes: [
      {
        file: "src/actors/upload/chunk-intake.ts",
        find: "      await this.#desk.sync();\n      const journalOffset",
        replace: "      const journalOffset",
      },
    ],
    seedsMax: LATER,
  },
  {
    name: "journal-not-synced",
    wrong: "A record of the journal counts although it was not synced.",
    changes: [
      {
        file: "src/actors/upload/journal.ts",
        find: "        await this.#file.sync();\n        this.#endOffset += this.#preface",
        replace: "        this.#endOffset += this.#preface",
      },
    ],
    seedsMax: LATER,
  },
  {
    name: "tus-offset-before-sync",
    wrong: "Bytes of a body that goes on within a chunk count although they were not synced.",
    changes: [
      {
        file: "src/actors/upload/continued-bodies.ts",
        find: "    if (lengthBytes > fromBytes) await this.#desk.sync();\n",
        replace: "",
      },
    ],
    seedsMax: LATER,
  },
  {
    name: "chunk-counted-before-journal",
    wrong: "A record of the journal is answered for while it is still being written.",
    changes: [
      {
        file: "src/actors/upload/journal.ts",
        find: "        await writeFully(this.#file, this.#prefaced(batch.map((waiting) => waiting.bytes)), this.#endOffset);",
        replace:
          "        let early = this.#endOffset + (this.#preface?.length ?? 0);\n" +
          "        for (const waiting of batch) {\n          waiting.resolve(early);\n          early += waiting.bytes.length;\n        }\n" +
          "        await writeFully(this.#file, this.#prefaced(batch.map((waiting) => waiting.bytes)), this.#endOffset);",
      },
    ],
    seedsMax: LATER,
  },
  {
    name: "index-written-twice",
    wrong: "A second body for a chunk that is in flight is written as well.",
    changes: [
      {
        file: "src/actors/upload/chunk-ledger.ts",
        find: '      case IN_FLIGHT:\n        return "compare-in-flight";',
        replace: '      case IN_FLIGHT:\n        return "write";',
      },
    ],
    seedsMax: SOON,
  },
  {
    name: "other-bytes-accepted",
    wrong: "Other bytes for a chunk that was received are answered as if they were the same.",
    changes: [
      {
        file: "src/actors/upload/chunk-intake.ts",
        find: "    if (!Buffer.from(first.leafDigests).equals(second.leafDigests))",
        replace: "    if (first === undefined)",
      },
    ],
    seedsMax: LATER,
  },
  {
    name: "claimed-digest-not-compared",
    wrong: "A file is made whatever digest was claimed for it.",
    changes: [
      {
        file: "src/actors/upload/merge-steps.ts",
        find: "    if (claim !== undefined && actual !== claim.value) {",
        replace: "    if (claim !== undefined && actual === undefined) {",
      },
    ],
    seedsMax: SOON,
  },
  {
    name: "database-before-disk",
    wrong: "The catalog hears of a blob before its names are durable.",
    changes: [
      {
        file: "src/actors/upload/merge-steps.ts",
        find: "    await ports.node.publishBlob(this.#commitPlan, synced, { sizeBytes, digests, file: this.#file(sizeBytes, digests) });",
        replace:
          "    ports.node.publishBlob(this.#commitPlan, synced, { sizeBytes, digests, file: this.#file(sizeBytes, digests) }).catch(() => undefined);",
      },
    ],
    seedsMax: SOON,
  },
  {
    name: "reservation-not-given-back",
    wrong: "What an upload had reserved and did not use stays reserved when it has ended.",
    changes: [{ file: "src/actors/upload/reservation.ts", find: "    this.settle(this.#bytes);\n", replace: "" }],
    seedsMax: SOON,
  },
  {
    name: "folder-left",
    wrong: "The folder of an upload that has ended stays on the disk, also at the next start.",
    changes: [
      {
        file: "src/actors/storage/session-recovery.ts",
        find: "await node.discardUnlessKnown(commitPlan);\n    await disk.remove(folder);\n",
        replace: "await node.discardUnlessKnown(commitPlan);\n",
      },
      {
        file: "src/actors/upload/session-ending.ts",
        find: "    if (isTidy) await ports.disk.remove(ports.node.folderOf(plan.uploadId));\n",
        replace: "",
      },
    ],
    seedsMax: SOON,
  },
  {
    name: "end-told-before-recorded",
    wrong: "A client hears that its upload has ended, and the catalog never does.",
    changes: [
      {
        file: "src/actors/upload/session-ending.ts",
        find: "    await known(await withRetry(END_RETRY, ports, () => this.#tellCatalog(ending), undefined, signal));",
        replace: "    await known(undefined);",
      },
    ],
    seedsMax: SOON,
  },
  {
    name: "folder-of-cancelled-left",
    wrong: "An upload that ends without a file leaves its folder until the node is started again.",
    changes: [
      {
        file: "src/actors/upload/session-ending.ts",
        find: "    await merge.takeBack();\n    await this.close(true);",
        replace: "    await merge.takeBack();\n    await this.close(false);",
      },
    ],
    seedsMax: SOON,
  },
  {
    name: "activity-not-counted",
    wrong: "An upload expires so long after it began, whatever comes meanwhile.",
    changes: [
      {
        file: "src/actors/upload/idle-watch.ts",
        find: '  touch(trace?: "recorded"): void {\n    this.#activeMs = this.#clock.nowMs();\n',
        replace: '  touch(trace?: "recorded"): void {\n',
      },
    ],
    seedsMax: SOON,
  },
];

const DISK_MUTANTS: readonly Mutant[] = [
  {
    name: "published-name-not-synced",
    wrong: "A blob's name is believed to be durable although its directory was not synced.",
    changes: [
      {
        file: "src/core/durable.ts",
        find: "    if (ours?.sizeBytes !== theirs?.sizeBytes) throw error;\n  }\n  await disk.syncDirectory(dirname(finalPath));\n",
        replace: "    if (ours?.sizeBytes !== theirs?.sizeBytes) throw error;\n  }\n",
      },
    ],
    seedsMax: LATER,
  },
  {
    name: "directory-not-synced-in-parent",
    wrong: "A directory that was just made is believed to be durable in its parent.",
    changes: [
      {
        file: "src/core/durable.ts",
        find: "  await disk.syncDirectory(parent);\n  doubtful.delete(path);",
        replace: "  doubtful.delete(path);",
      },
    ],
    seedsMax: LATER,
  },
  {
    name: "short-write-taken-for-whole",
    wrong: "A write that took fewer bytes than it was given is taken for a whole one.",
    changes: [{ file: "src/core/durable.ts", find: "    written += count;", replace: "    written = bytes.length;" }],
    seedsMax: LATER,
  },
  {
    name: "sync-in-flight-joined",
    wrong: "Who asks for a sync joins the one in flight, which began before the bytes were written.",
    changes: [
      {
        file: "src/store/grouped-sync.ts",
        find: "      this.#waiting.delete(target);\n      try {\n        await this.#timed(target, group);",
        replace: "      try {\n        await this.#timed(target, group);\n        this.#waiting.delete(target);",
      },
    ],
    seedsMax: LATER,
  },
  {
    name: "record-left",
    wrong: "The record beside a blob stays when the blob is removed.",
    changes: [
      {
        file: "src/actors/storage/blob-store.ts",
        find: "for (const name of [temporaryPath(record), record]) await disk.remove(name);",
        replace: "await disk.remove(temporaryPath(record));",
      },
    ],
    seedsMax: SOON,
  },
  {
    name: "leaf-not-checked",
    wrong: "Bytes leave a node whether or not their leaf has its digest.",
    changes: [
      {
        file: "src/actors/storage/blob-reader.ts",
        find: "    if (expected.equals(this.#ports.hasher.leafDigest(bytes.subarray(start, start + LEAF_BYTES)))) return;",
        replace: "    if (expected.length === LEAF_DIGEST_BYTES && start >= 0) return;",
      },
    ],
    seedsMax: LATER,
  },
  {
    name: "room-never-enough",
    wrong: "What wants more than 350 KiB is refused for want of room, however empty the disk is.",
    changes: [
      {
        file: "src/actors/storage/capacity.ts",
        find: "    if (bytes > available)",
        replace: "    if (bytes > available || bytes > 350 * 1024)",
      },
    ],
    seedsMax: SOON,
  },
];

const CATALOG_MUTANTS: readonly Mutant[] = [
  {
    name: "epoch-not-stepped",
    wrong: "A host that takes an upload up again has the epoch of the one before it.",
    changes: [
      {
        file: "src/actors/catalog/uploads.ts",
        find: "epoch: row.epoch + 1n,",
        replace: "epoch: row.epoch,",
      },
    ],
    seedsMax: SOON,
  },
  {
    name: "late-word-accepted",
    wrong: "What a host says of an upload counts, although another life of it has taken the upload over.",
    changes: [
      {
        file: "src/actors/catalog/upload-row.ts",
        find: "  if (row.epoch !== BigInt(epoch)) throw",
        replace: "  if (row.epoch < BigInt(epoch)) throw",
      },
    ],
    seedsMax: LATER,
    drawPlan: drawLateWords,
  },
  {
    name: "commit-not-repeatable",
    wrong: "A commit whose outcome was unknown is refused when it is repeated, although it happened.",
    changes: [
      {
        file: "src/actors/catalog/commit.ts",
        find: '    if (upload.state === "merged" && upload.result !== null) return readJson(commitResult, upload.result);\n',
        replace: "",
      },
    ],
    seedsMax: LATER,
  },
  {
    name: "idempotency-key-ignored",
    wrong: "The same creation asked for again begins another upload.",
    changes: [
      {
        file: "src/actors/catalog/uploads.ts",
        find: "  if (operation === undefined) return undefined;\n",
        replace: "  if (operation === undefined || nowMs > 0) return undefined;\n",
      },
    ],
    seedsMax: SOON,
  },
  {
    name: "reference-not-added",
    wrong: "Another file of known content adds no reference to its blob.",
    changes: [
      {
        file: "src/actors/catalog/commit.ts",
        find: ".set({ reference_count: blob.reference_count + 1n, update_time: nowMs })",
        replace: ".set({ reference_count: blob.reference_count === 0n ? 1n : blob.reference_count, update_time: nowMs })",
      },
    ],
    seedsMax: SOON,
  },
  {
    name: "reference-not-dropped",
    wrong: "A deleted file keeps its reference to a blob that others refer to as well.",
    changes: [
      {
        file: "src/actors/catalog/delete.ts",
        find: ".set({ reference_count: blob.reference_count - 1n, update_time: nowMs })",
        replace: ".set({ reference_count: blob.reference_count, update_time: nowMs })",
      },
    ],
    seedsMax: SOON,
  },
  {
    name: "blob-retired-while-referred-to",
    wrong: "A blob is retired although a file still refers to it.",
    changes: [
      { file: "src/actors/catalog/delete.ts", find: "  if (blob.reference_count > 1n) {", replace: "  if (blob.reference_count > 2n) {" },
    ],
    seedsMax: SOON,
  },
  {
    name: "outbox-row-removed-undelivered",
    wrong: "What could not be delivered from the outbox is removed from it.",
    changes: [
      {
        file: "src/actors/catalog/outbox-delivery.ts",
        find: '    return failed === undefined ? DONE : { kind: "again", why: failed.reason, payload: { ...payload, nodeIds: left } };',
        replace: '    return failed === undefined || left.length > 0 ? DONE : { kind: "again", why: failed.reason, payload };',
      },
    ],
    seedsMax: LATER,
  },
  {
    name: "counter-stepped-too-little",
    wrong: "An allocator hands out more IDs than it has stepped the database's counter.",
    changes: [
      {
        file: "src/actors/ids/counter-row.ts",
        find: "    await writeCounter(transaction, key, value + size, wallMs);",
        replace: "    await writeCounter(transaction, key, value + 1, wallMs);",
      },
    ],
    seedsMax: SOON,
  },
  {
    name: "shared-content-not-deletable",
    wrong: "A file whose content another one has is not deleted, and said not to be there.",
    changes: [
      {
        file: "src/actors/catalog/delete.ts",
        find: "  if (blob.reference_count > 1n) {",
        replace: '  if (blob.reference_count > 1n) throw new TroupeError("FILE_NOT_FOUND");\n  if (blob.reference_count > 1n) {',
      },
    ],
    seedsMax: SOON,
  },
];

const GATEWAY_MUTANTS: readonly Mutant[] = [
  {
    name: "range-off-by-one",
    wrong: "A range to the end of a file lacks its last byte.",
    changes: [
      {
        file: "src/core/range.ts",
        find: "last: Number(last < size ? last : size - 1n) };",
        replace: "last: Number(last < size - 1n || first === last ? last : size - 2n) };",
      },
    ],
    seedsMax: SOON,
  },
  {
    name: "deleted-file-remembered",
    wrong: "A gateway goes on serving a file that was deleted through another.",
    changes: [
      {
        file: "src/gateway/file-directory.ts",
        find: "    this.#known = remembered<LocatedFile>(ports.clock, LOOKUP_KEPT_MS);",
        replace: "    this.#known = remembered<LocatedFile>(ports.clock, LOOKUP_KEPT_MS * 1_000);",
      },
    ],
    seedsMax: LATER,
  },
  {
    name: "absence-taken-for-an-end",
    wrong: "An upload whose host does not answer is said not to exist.",
    changes: [
      {
        file: "src/gateway/upload-directory.ts",
        find: '      throw new TroupeError(\n        "HOST_UNAVAILABLE",',
        replace: '      throw new TroupeError(\n        "UPLOAD_NOT_FOUND",',
      },
    ],
    seedsMax: LATER,
  },
  {
    name: "possession-not-proven",
    wrong: "Whoever knows a digest gets the file, whatever they answer to the challenge.",
    changes: [
      {
        file: "src/actors/upload/possession.ts",
        find: "        if (answer !== undefined) return answer ? blobId : undefined;",
        replace: "        if (answer !== undefined) return blobId;",
      },
    ],
    seedsMax: SOON,
  },
  {
    name: "if-range-ignored",
    wrong: "A range is answered to somebody who has the beginning of other bytes.",
    changes: [
      {
        file: "src/core/conditional.ts",
        find: "return strongEqual(ifRange, current.etag);\n  const date",
        replace: "return true;\n  const date",
      },
    ],
    seedsMax: SOON,
  },
  {
    name: "upload-ended-by-its-body",
    wrong: "A body of tus that breaks off takes all of its upload along.",
    changes: [
      {
        file: "src/gateway/tus/patch.ts",
        find: "  const takenBytes = await receiveBody(gateway, exchange, upload, checksum);",
        replace:
          "  const takenBytes = await receiveBody(gateway, exchange, upload, checksum).catch(async (error: unknown) => {\n" +
          "    await askSession(gateway, exchange, upload.uploadId, (session, { epoch }, options) => session.cancel({ epoch }, options));\n" +
          "    throw error;\n  });",
      },
      {
        file: "src/gateway/tus/patch.ts",
        find: "import { becomesFile, expiresField, isComplete, settledUpload",
        replace: "import { askSession, becomesFile, expiresField, isComplete, settledUpload",
      },
    ],
    seedsMax: SOON,
  },
];

export const MUTANTS: readonly Mutant[] = [...UPLOAD_MUTANTS, ...DISK_MUTANTS, ...CATALOG_MUTANTS, ...GATEWAY_MUTANTS];
