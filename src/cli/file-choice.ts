/** Which file a person means: its ID, its URL, or its name when only one file has it. */
import { fileIdOf } from "../client/file-address.ts";
import { TroupeError } from "../core/errors.ts";
import { FILE_ID_PATTERN } from "../core/file-id.ts";
import { PAGE_ITEMS_MAX } from "../core/limits.ts";
import { nameFault } from "../core/shapes.ts";
import type { Session } from "./session.ts";
import { shortTime } from "./time-text.ts";

const PAGES_MAX = 20;
const SHOWN_MAX = 5;

/**
 * @returns its ID
 * @throws {TroupeError} `FILE_NOT_FOUND`; `BAD_REQUEST` when several files have the name, or it cannot be one
 */
export async function chosenFile({ client, context }: Session, word: string): Promise<string> {
  if (FILE_ID_PATTERN.test(word) || /^https?:\/\//i.test(word) || nameFault(word) !== undefined) return fileIdOf(word);
  const found: { readonly fileId: string; readonly created: string }[] = [];
  let cursor: string | undefined;
  for (let page = 0; page < PAGES_MAX && (page === 0 || cursor !== undefined); page += 1) {
    const { files, cursor: next } = await client.files({ prefix: word, limit: PAGE_ITEMS_MAX, cursor }, context.signal);
    for (const { name, fileId, created } of files) if (name === word) found.push({ fileId, created: shortTime(created) });
    cursor = next;
  }
  if (cursor !== undefined)
    throw new TroupeError("BAD_REQUEST", `Too many names begin with ${JSON.stringify(word)} to look for it; give the file's ID.`);
  const [only, ...others] = found;
  if (only === undefined) throw new TroupeError("FILE_NOT_FOUND", `No file has the name ${JSON.stringify(word)}, and it is no ID.`);
  if (others.length === 0) return only.fileId;
  const list = found.slice(0, SHOWN_MAX).map(({ fileId, created }) => `${fileId} (${created})`);
  throw new TroupeError(
    "BAD_REQUEST",
    `${found.length} files have the name ${JSON.stringify(word)}; give the ID of one, newest first: ${list.join(", ")}${found.length > SHOWN_MAX ? ", …" : ""}.`,
  );
}
