/** Asking for the merge of an upload and watching it, so that no connection has to outlast the verification of a large file. */
import { TroupeError } from "../core/errors.ts";
import { isEnded, type UploadState } from "../core/shapes.ts";
import { type AgainPorts, again, MOVING_POLICY, pauseOrGiveUp, sleepUnlessAborted } from "./again.ts";
import type { StoredFile, UploadProgress } from "./answers.ts";
import type { TroupeClient } from "./troupe-client.ts";

export type MissingRanges = UploadProgress["missing"];

export interface MergeOptions {
  readonly uploadId: string;
  /** A small file is verified in no time: the first answer is waited for. */
  readonly isSmall: boolean;
  readonly signal: AbortSignal | undefined;
  readonly onState: (state: UploadState) => void;
}

const MERGE_POLL_MIN_MS = 100;
const MERGE_POLL_MAX_MS = 2_000;

/**
 * The file, or the chunks the server misses after all.
 * @throws {TroupeError} what the server said; `UPLOAD_CANCELLED`, `UPLOAD_EXPIRED`, `UPLOAD_FAILED`; `CANCELLED`
 */
export async function mergeUpload(
  client: TroupeClient,
  ports: AgainPorts,
  { uploadId, isSmall, signal, onState }: MergeOptions,
): Promise<{ readonly file: StoredFile } | { readonly missing: MissingRanges }> {
  for (let attempt = 1; ; attempt += 1) {
    try {
      const merged = await client.merge(uploadId, isSmall, signal);
      if (merged.kind === "file") return { file: merged.file };
      const progress = await watchMerge(client, ports, uploadId, signal, onState);
      const { fileId } = progress;
      if (progress.state === "merged" && fileId !== undefined)
        return { file: await again(MOVING_POLICY, ports, signal, () => client.file(fileId, signal)) };
      if (progress.state !== "receiving") throw endedError(uploadId, progress.state, progress.lastError?.detail);
      // It went back: either chunks are missing, or something it needs was away and merging again may help.
      if (progress.missing.length > 0) return { missing: progress.missing };
      throw new TroupeError("UNAVAILABLE", progress.lastError?.detail ?? "The merge was put off.");
    } catch (error) {
      if (error instanceof TroupeError && error.code === "UPLOAD_INCOMPLETE") {
        const progress = await again(MOVING_POLICY, ports, signal, () => client.status(uploadId, signal));
        if (progress.missing.length > 0) return { missing: progress.missing };
      }
      await pauseOrGiveUp(error, MOVING_POLICY, attempt, ports, signal);
    }
  }
}

async function watchMerge(
  client: TroupeClient,
  ports: AgainPorts,
  uploadId: string,
  signal: AbortSignal | undefined,
  onState: (state: UploadState) => void,
): Promise<UploadProgress> {
  for (let delayMs = MERGE_POLL_MIN_MS; ; delayMs = Math.min(MERGE_POLL_MAX_MS, delayMs * 2)) {
    await sleepUnlessAborted(ports.clock, delayMs, signal);
    const progress = await again(MOVING_POLICY, ports, signal, () => client.status(uploadId, signal));
    onState(progress.state);
    if (progress.state === "receiving" || isEnded(progress.state)) return progress;
  }
}

export function endedError(uploadId: string, state: UploadState, detail: string | undefined): TroupeError {
  const why = detail === undefined ? "" : `: ${detail.replace(/\.$/, "")}`;
  if (state === "cancelled") return new TroupeError("UPLOAD_CANCELLED", `Upload ${uploadId} was cancelled; start a new one.`);
  if (state === "expired")
    return new TroupeError("UPLOAD_EXPIRED", `Upload ${uploadId} was idle too long and has expired; start a new one.`);
  return new TroupeError("UPLOAD_FAILED", `Upload ${uploadId} failed for good${why}. Start a new one.`);
}
