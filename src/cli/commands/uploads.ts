/** `troupe uploads [ID]`: uploads that have not ended, or one of them in detail. */
import { Option } from "commander";
import type { UploadProgress, UploadSummary } from "../../client/answers.ts";
import type { TroupeClient } from "../../client/troupe-client.ts";
import { approximateSize } from "../../config/size.ts";
import { TroupeError } from "../../core/errors.ts";
import { checkIdentity } from "../../core/identity.ts";
import { ENDED_STATES, type UploadState } from "../../core/shapes.ts";
import { JsonList } from "../json-list.ts";
import type { Definition, Session } from "../session.ts";
import { type Column, printable, table } from "../table.ts";
import { shortTime } from "../time-text.ts";

interface UploadsOptions {
  readonly all?: boolean;
  readonly state?: UploadState;
}

const COLUMNS: readonly Column[] = [
  { title: "UPLOAD", widthMin: 22 },
  { title: "STATE", widthMin: 11 },
  { title: "SINCE", widthMin: 16 },
  { title: "SIZE", align: "right", widthMin: 9 },
  { title: "NAME" },
];
const COLUMNS_ALL: readonly Column[] = [...COLUMNS.slice(0, -1), { title: "FILE", widthMin: 36 }, { title: "NAME" }];
const RANGES_SHOWN_MAX = 10;

export const uploadsCommand: Definition = (program, act) => {
  program
    .command("uploads")
    .description("list uploads that have not ended, or show one")
    .argument("[id]", "an upload's ID")
    .option("--all", "those that have ended, too")
    .addOption(
      new Option("--state <state>", "only those of this state; receiving: all that have not ended").choices(["receiving", ...ENDED_STATES]),
    )
    .addHelpText("after", "\nExamples:\n  troupe uploads\n  troupe uploads V1StGXR8_Z5jdHi6B-myT0\n")
    .action(
      act<UploadsOptions>(async (session, [id], { all, state = all === true ? undefined : "receiving" }) => {
        if (id === undefined) await list(session, state);
        else await show(session, checkIdentity(id, "The upload"));
      }),
    );
};

/** @param state `receiving` stands for every state that is not an end; without one, all are listed */
async function list({ client, context, json }: Session, state: UploadState | undefined): Promise<void> {
  const all = state !== "receiving";
  const kept = json ? new JsonList(context.terminal, "uploads") : undefined;
  let count = 0;
  for await (const uploads of client.allUploads(state, context.signal)) {
    if (kept !== undefined) await kept.add(uploads);
    else if (uploads.length > 0) {
      const sized = all ? await Promise.all(uploads.map((upload) => withSize(client, upload, context.signal))) : uploads;
      context.terminal.out(table(all ? COLUMNS_ALL : COLUMNS, all ? sized.map(rowOfAll) : sized.map(rowOf), count === 0));
    }
    count += uploads.length;
  }
  if (kept !== undefined) await kept.end();
  else if (count === 0)
    context.terminal.err(
      state === undefined
        ? "There has been no upload yet.\n"
        : all
          ? `No upload is ${state}.\n`
          : "No upload is under way; --all shows those that ended.\n",
    );
}

async function show({ client, context, json }: Session, uploadId: string): Promise<void> {
  const upload = await client.status(uploadId, context.signal);
  context.terminal.out(json ? `${JSON.stringify({ uploadId, ...upload })}\n` : describe(uploadId, upload));
}

const rowOf = ({ uploadId, state, since, size, name }: UploadSummary): string[] => [
  uploadId,
  state,
  shortTime(since),
  size === undefined ? "?" : approximateSize(size),
  name,
];

const rowOfAll = (upload: UploadSummary): string[] => rowOf(upload).toSpliced(-1, 0, upload.fileId ?? "");

/** An upload whose size nobody had said before has it from the file it became. */
async function withSize(client: TroupeClient, upload: UploadSummary, signal: AbortSignal): Promise<UploadSummary> {
  if (upload.size !== undefined || upload.fileId === undefined) return upload;
  try {
    return { ...upload, size: (await client.file(upload.fileId, signal)).size };
  } catch (error) {
    // Deleted since.
    if (error instanceof TroupeError && error.status === 404) return upload;
    throw error;
  }
}

function describe(uploadId: string, upload: UploadProgress): string {
  const { state, since, name, size, chunkBytes, chunkCount, receivedCount, missing, expires, lastError, fileId } = upload;
  const lines: [string, string][] = [
    ["upload", uploadId],
    ["name", name ?? "?"],
    ["state", since === undefined ? state : `${state} since ${shortTime(since)}`],
    ["size", size === undefined ? "not known yet" : approximateSize(size)],
    ["chunks", `${receivedCount} of ${chunkCount ?? "?"} received, ${approximateSize(chunkBytes)} each`],
  ];
  if (missing.length > 0) lines.push(["missing", missingInWords(upload)]);
  if (expires !== undefined) lines.push(["expires", `${shortTime(expires)}, if nothing comes until then`]);
  if (lastError !== undefined) lines.push(["last error", `${lastError.code}: ${lastError.detail}`]);
  if (fileId !== undefined) lines.push(["file", fileId]);
  return lines.map(([title, text]) => `${title.padEnd(10)}  ${printable(text)}\n`).join("");
}

function missingInWords({ missing, missingTruncated }: UploadProgress): string {
  const shown = missing.slice(0, RANGES_SHOWN_MAX).map(([first, last]) => (first === last ? `${first}` : `${first}-${last}`));
  return shown.join(", ") + (missing.length > shown.length || missingTruncated ? ", …" : "");
}
