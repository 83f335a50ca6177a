/**
 * What disks did, as an excuse for what would be wrong otherwise.
 *
 * E1: only kinds of faults that explain it count, and only those that have taken effect by now.
 * E2: what is wrong with bytes is explained by what hit the upload's own files; a refusal by what hit the disk they are on, in this life of
 *     its process: the next one knows nothing of it. Where that disk is not known, it may be any.
 */
import type { Strikes } from "../../disk/strikes.ts";
import type { History } from "../history.ts";
import type { KnownUpload } from "../known-upload.ts";

/** Disks of storage nodes; clients' own are none of them. */
export type Disks = ReadonlyMap<string, { readonly strikes: Strikes }>;

interface Asking {
  readonly disks: Disks;
  readonly history: History;
  readonly path: string;
  readonly sentMs: number;
}

interface Explanation {
  /** Kinds that explain it where they hit the upload's own files. */
  readonly own?: readonly string[];
  /** Kinds that explain it where they hit the disk that the upload is on. */
  readonly disk?: readonly string[];
}

const DESTROYED = ["disk.rot", "disk.lost-write", "disk.misdirected-write"];
const REFUSED = ["disk.io-error-read", "disk.io-error-write"];
/** Bytes that were taken, and then not kept. */
const SYNC_FAILED = ["disk.sync-error", "disk.full"];

/** E1 */
const EXPLAINED_BY = {
  /** A chunk, or bytes of tus. */
  "chunk-lost": { own: [...DESTROYED, ...SYNC_FAILED] },
  "wrong-digest": { own: DESTROYED },
  BLOB_DAMAGED: { own: DESTROYED },
  /** Long after the fault, too: a disk that has failed once is suspect as long as the process lives. */
  DISK_FAILED: { disk: [...REFUSED, ...SYNC_FAILED] },
  UPLOAD_FAILED: { own: DESTROYED, disk: [...REFUSED, ...SYNC_FAILED] },
} as const satisfies Readonly<Record<string, Explanation>>;

/** The disk has refused something to the life that its process has now: what that could not put away may lie there until the next one. */
export function hasRefused({ strikes }: { readonly strikes: Strikes }, nowMs: number): boolean {
  const sinceMs = strikes.lifeSinceMs(nowMs);
  return [...REFUSED, ...SYNC_FAILED].some((kind) => (strikes.lastMs(kind) ?? -1) >= sinceMs);
}

/** How long a node that was full may still be taken for one, by those who place uploads and by a session that was hit. */
const FULL_KEPT_MS = 60_000;

/** Whether a disk was full when this was asked, a while before, or at any time since an upload began that it is about. */
export function isFullExplained(asked: Asking): boolean {
  const sinceMs = Math.min(asked.sentMs, ...(uploadsConcerned(asked) ?? []).map(({ askedMs }) => askedMs)) - FULL_KEPT_MS;
  return [...asked.disks.values()].some(({ strikes }) => strikes.wasFullSince(sinceMs));
}

const WHOLE_FILE = /^\/(?:put\/.+|api\/v1\/files)$/;

type Wrong = keyof typeof EXPLAINED_BY;

/** Whether what disks did to this upload, or where it is, explains it. */
export function isExplained({ disks, sentMs }: Pick<Asking, "disks" | "sentMs">, wrong: Wrong, upload: KnownUpload): boolean {
  const { own = [], disk = [] }: Explanation = EXPLAINED_BY[wrong];
  // Parts of it may be on other nodes, and are older.
  return [upload, ...upload.parts].some(({ uploadId, askedMs }) => {
    const brokenSinceMs = wrong === "UPLOAD_FAILED" ? askedMs : sentMs;
    if (hasStruck(disks, disk, (strikes) => strikes.lifeSinceMs(brokenSinceMs), uploadId)) return true;
    if (uploadId === undefined) return hasStruck(disks, own, () => askedMs);
    return [...disks.values()].some(({ strikes }) => own.some((kind) => strikes.lastMs(kind, uploadId) !== undefined));
  });
}

/** Whether disks explain a refusal of what was asked. */
export function isRefusalExplained(asked: Asking, code: "BLOB_DAMAGED" | "DISK_FAILED"): boolean {
  const { disks, sentMs } = asked;
  const concerned = uploadsConcerned(asked);
  if (concerned !== undefined) return concerned.some((upload) => isExplained(asked, code, upload));
  // Whoever sends a file as one body has no other word for bytes that were not kept until it became a file.
  if (code === "DISK_FAILED" && WHOLE_FILE.test(asked.path) && hasStruck(disks, DESTROYED, () => 0)) return true;
  const { own = [], disk = [] }: Explanation = EXPLAINED_BY[code];
  return hasStruck(disks, own, () => 0) || hasStruck(disks, disk, (strikes) => strikes.lifeSinceMs(sentMs));
}

/** @param heldId an upload that the disk has or had */
function hasStruck(disks: Disks, kinds: readonly string[], sinceMs: (strikes: Strikes) => number, heldId?: string): boolean {
  for (const { strikes } of disks.values()) {
    if (heldId !== undefined && !strikes.hasHeld(heldId)) continue;
    if (kinds.some((kind) => (strikes.lastMs(kind) ?? -1) >= sinceMs(strikes))) return true;
  }
  return false;
}

/** Those whose files a request leads to: for a file, all of its content, for there is one blob of it. `undefined`: it may be any. */
function uploadsConcerned({ history, path }: Asking): readonly KnownUpload[] | undefined {
  const [, root, word = "", rest] = /^\/(api\/v1\/uploads|tus|api\/v1\/files|files)\/([^/]+)(\/.*)?$/.exec(path) ?? [];
  if (root === undefined) return undefined;
  if (root.endsWith("files")) {
    const content = history.files.get(word)?.content;
    return content === undefined ? undefined : history.uploads.filter((upload) => upload.content.blake3 === content.blake3);
  }
  // A proof is compared with bytes that are elsewhere.
  const upload = rest === "/proof" ? undefined : history.upload(word);
  return upload === undefined ? undefined : [upload];
}
