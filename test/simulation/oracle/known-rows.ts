/**
 * The catalog's files compared with what clients were told.
 *
 * K1: a file of which a client was told is there, as it was told, unless its deletion was asked for; then it may be, until that was
 *     acknowledged.
 * K2: any other file came of an upload whose outcome no client knows: each of those happened once or not at all.
 */
import type { KnownFile } from "../workload/known-file.ts";
import type { KnownUpload } from "../workload/known-upload.ts";
import { type Breach, type Rows, textIn } from "./breach.ts";

/** A file that the catalog has, and by which upload a client knows of it. */
export interface FoundFile {
  readonly fileId: string;
  readonly owner: string;
  readonly app: string;
  readonly user: string;
  readonly name: string;
  readonly uploadId: string;
  readonly blake3: string;
  readonly sizeBytes: number;
  /** Where its bytes are among a node's blobs. */
  readonly blobPath: string;
}

/** What clients know, of a {@link History}. */
export interface Known {
  readonly files: ReadonlyMap<string, KnownFile>;
  readonly uploadsInDoubt: readonly KnownUpload[];
}

export interface Compared {
  readonly breaches: readonly Breach[];
  /** With what they must hold. */
  readonly files: readonly ComparedFile[];
}

export interface ComparedFile {
  readonly found: FoundFile;
  /** What it came of: it must hold that one's content. */
  readonly upload: KnownUpload;
  /** Absent when no client was told of it. */
  readonly known: KnownFile | undefined;
}

type IsDamaged = (file: FoundFile) => boolean;

const columns = "f.file_id, f.owner, f.app, f.user, f.name, u.upload_id, b.digest, b.size_bytes, b.path";
const selectFrom = (table: string): string =>
  `SELECT ${columns} FROM ${table} f JOIN t_upload u ON u.file_id = f.file_id JOIN t_blob b ON b.blob_id = f.blob_id`;

/** @param rows of the database `storage` */
export function foundFiles(rows: Rows): FoundFile[] {
  return rows(`${["t_file_01", "t_file_02", "t_file_03"].map(selectFrom).join(" UNION ALL ")} ORDER BY 1`).map((row) => ({
    fileId: textIn(row["file_id"]),
    owner: textIn(row["owner"]),
    app: textIn(row["app"]),
    user: textIn(row["user"]),
    name: textIn(row["name"]),
    uploadId: textIn(row["upload_id"]),
    blake3: Buffer.from(row["digest"] as Uint8Array).toString("hex"),
    sizeBytes: Number(row["size_bytes"]),
    blobPath: textIn(row["path"]),
  }));
}

/** @param isDamaged bytes of the blob went wrong on its disk, perhaps before it had a digest: then that may be of others than were sent */
export function compareWithKnown(found: readonly FoundFile[], known: Known, nowMs: number, isDamaged: IsDamaged): Compared {
  const breaches: Breach[] = [];
  const breached = (rule: string, sentence: string): void => void breaches.push({ rule, sentence });
  const compareContent = (row: FoundFile, upload: KnownUpload): void => {
    const { sizeBytes, blake3 } = upload.content;
    if (!isSameContent(row, upload, isDamaged))
      breached("wrong-content", `${row.fileId} has ${row.sizeBytes} bytes with ${row.blake3}; sent were ${sizeBytes} with ${blake3}`);
  };
  const files: ComparedFile[] = [];
  const there = new Map(found.map((file) => [file.fileId, file]));
  for (const file of known.files.values()) {
    const row = there.get(file.fileId);
    if (row === undefined) {
      if (!file.isDeleteAsked)
        breached("file-lost", `${file.fileId} (${file.upload.name}) was acknowledged, and the catalog has no such file`);
      continue;
    }
    if (file.deletedMs !== undefined) breached("deleted-file-there", `${file.fileId} was deleted, and the catalog has it`);
    const names = file.possibleNames(nowMs);
    if (!names.has(row.name)) breached("wrong-name", `${file.fileId} is called ${row.name}, and can only be ${[...names].join(" or ")}`);
    compareLabels(row, file.upload, breached);
    compareContent(row, file.upload);
    files.push({ found: row, upload: file.upload, known: file });
  }
  // K2
  const doubts = new Set(known.uploadsInDoubt);
  for (const row of found) {
    if (known.files.has(row.fileId)) continue;
    const upload = doubtOf(row, doubts, isDamaged);
    if (upload === undefined) {
      breached(
        "file-of-nobody",
        `${row.fileId} (${row.owner} ${row.user} ${row.name}, ${row.sizeBytes} bytes) came of no upload that is in doubt`,
      );
      continue;
    }
    doubts.delete(upload);
    if (row.name !== upload.name) breached("wrong-name", `${row.fileId} is called ${row.name}, and was to be called ${upload.name}`);
    compareLabels(row, upload, breached);
    compareContent(row, upload);
    files.push({ found: row, upload, known: undefined });
  }
  return { breaches, files };
}

/** One whose upload is known by its ID is that one; otherwise it has to look like it. */
function doubtOf(row: FoundFile, doubts: ReadonlySet<KnownUpload>, isDamaged: IsDamaged): KnownUpload | undefined {
  let alike: KnownUpload | undefined;
  for (const upload of doubts) {
    if (upload.uploadId === row.uploadId) return upload;
    if (upload.uploadId === undefined && alike === undefined && isAlike(row, upload) && isSameContent(row, upload, isDamaged))
      alike = upload;
  }
  return alike;
}

const isAlike = (row: FoundFile, { owner, app, user, name }: KnownUpload): boolean =>
  row.owner === owner && row.app === app && row.user === user && row.name === name;

const isSameContent = (row: FoundFile, { content }: KnownUpload, isDamaged: IsDamaged): boolean =>
  row.sizeBytes === content.sizeBytes && (row.blake3 === content.blake3 || isDamaged(row));

function compareLabels(row: FoundFile, upload: KnownUpload, breached: (rule: string, sentence: string) => void): void {
  const { owner, app, user } = upload;
  if (row.owner !== owner || row.app !== app || row.user !== user)
    breached("wrong-labels", `${row.fileId} is ${row.owner}'s, of ${row.app} and ${row.user}; it was ${owner}'s, of ${app} and ${user}`);
}
