/** An upload that was begun before: what the server has of it, and whether that is of the same file. */
import { TroupeError } from "../core/errors.ts";
import { isEnded, type UploadState } from "../core/shapes.ts";
import { type AgainPorts, again, STARTING_POLICY } from "./again.ts";
import type { StoredFile } from "./answers.ts";
import type { ChunkLanes } from "./chunk-lanes.ts";
import { endedError, type MissingRanges } from "./merging.ts";
import type { TroupeClient } from "./troupe-client.ts";

/** An upload at the server, and the chunks it misses. */
export interface OpenUpload {
  readonly uploadId: string;
  readonly chunkBytes: number;
  readonly state: UploadState;
  readonly missing: MissingRanges;
  /** There may be more after the last of them. */
  readonly missingTruncated: boolean;
}

/** After these, what was begun cannot become this file; a new upload can. */
const OVER: ReadonlySet<string> = new Set([
  "UPLOAD_NOT_FOUND",
  "UPLOAD_CANCELLED",
  "UPLOAD_EXPIRED",
  "UPLOAD_FAILED",
  "FILE_NOT_FOUND",
  "PRECONDITION_FAILED",
]);
export const isOver = (error: unknown): error is TroupeError => error instanceof TroupeError && OVER.has(error.code);

/**
 * @param path for words to a person
 * @throws {TroupeError} `PRECONDITION_FAILED` for a file of another size; `UPLOAD_NOT_FOUND`, `UPLOAD_CANCELLED`, `UPLOAD_EXPIRED`,
 * `UPLOAD_FAILED`; `FILE_NOT_FOUND` when it became a file that was deleted since
 */
export async function takeUp(
  client: TroupeClient,
  ports: AgainPorts,
  uploadId: string,
  { path, sizeBytes, signal }: { readonly path: string; readonly sizeBytes: number; readonly signal: AbortSignal | undefined },
): Promise<OpenUpload | { readonly file: StoredFile }> {
  const progress = await again(STARTING_POLICY, ports, signal, () => client.status(uploadId, signal));
  if (progress.size !== undefined && progress.size !== sizeBytes)
    throw new TroupeError(
      "PRECONDITION_FAILED",
      `Upload ${uploadId} is of a file of ${progress.size} bytes, and ${path} has ${sizeBytes}.`,
    );
  const { fileId } = progress;
  if (progress.state === "merged" && fileId !== undefined)
    return { file: await again(STARTING_POLICY, ports, signal, () => client.file(fileId, signal)) };
  if (isEnded(progress.state)) throw endedError(uploadId, progress.state, progress.lastError?.detail);
  return { ...progress, uploadId };
}

/** @throws {TroupeError} `PRECONDITION_FAILED` when the upload has chunks of another file */
export async function checkSameFile(lanes: ChunkLanes, path: string, opened: OpenUpload, chunkCount: number): Promise<void> {
  for (const index of outermostReceived(opened, chunkCount)) {
    try {
      await lanes.compare(index);
    } catch (error) {
      // Who shares the upload has merged it meanwhile: its digest will tell.
      if (error instanceof TroupeError && error.code === "UPLOAD_MERGED") return;
      if (!(error instanceof TroupeError) || error.code !== "CHUNK_CONFLICT") throw error;
      throw new TroupeError(
        "PRECONDITION_FAILED",
        `${path} is not the file that upload ${opened.uploadId} was begun with: chunk ${index} differs. Nothing was changed; upload it without --resume.`,
        { cause: error },
      );
    }
  }
}

/** The first and the last chunk the server is known to have: none, one or two. */
function outermostReceived({ missing, missingTruncated }: OpenUpload, chunkCount: number): number[] {
  const found = new Set<number>();
  const [head, tail] = [missing[0], missing.at(-1)];
  const first = head?.[0] === 0 ? head[1] + 1 : 0;
  // What comes after a list that was cut is not known.
  const end = missingTruncated && tail !== undefined ? tail[1] + 1 : chunkCount;
  const last = tail !== undefined && tail[1] === end - 1 ? tail[0] - 1 : end - 1;
  if (first < end) found.add(first);
  if (last >= first) found.add(last);
  return [...found];
}
