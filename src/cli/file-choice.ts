/** Which file a person means: its ID, its URL, or its name, of which the newest file is meant. */
import type { StoredFile } from "../client/answers.ts";
import { fileIdOf } from "../client/file-address.ts";
import { TroupeError } from "../core/errors.ts";
import { FILE_ID_PATTERN } from "../core/file-id.ts";
import { PAGE_ITEMS_MAX } from "../core/limits.ts";
import { nameFault } from "../core/shapes.ts";
import type { Session } from "./session.ts";
import { printable } from "./table.ts";
import { shortTime } from "./time-text.ts";

const PAGES_MAX = 20;
const SHOWN_MAX = 5;

/**
 * @returns its ID; that it is one of several is said to a person
 * @throws {TroupeError} `FILE_NOT_FOUND`; `BAD_REQUEST` when files of several users have the name, or it cannot be one
 */
export async function chosenFile({ client, context, json }: Session, word: string): Promise<string> {
  if (FILE_ID_PATTERN.test(word) || /^https?:\/\//i.test(word) || nameFault(word) !== undefined) return fileIdOf(word);
  const quotedName = JSON.stringify(word);
  const newest = new Map<string | undefined, StoredFile>();
  let fileCount = 0;
  let pageCount = 0;
  for await (const files of client.allFiles({ prefix: word, limit: PAGE_ITEMS_MAX }, context.signal)) {
    if (++pageCount > PAGES_MAX)
      throw new TroupeError("BAD_REQUEST", `Too many names begin with ${quotedName} to look for it; give the file's ID.`);
    for (const file of files) {
      if (file.name !== word) continue;
      fileCount += 1;
      // The newest come first.
      if (!newest.has(file.user)) newest.set(file.user, file);
    }
  }
  const [only, ...others] = newest.values();
  if (only === undefined) throw new TroupeError("FILE_NOT_FOUND", `No file has the name ${quotedName}, and it is no ID.`);
  if (others.length > 0) throw new TroupeError("BAD_REQUEST", severalUsers(quotedName, [...newest.values()]));
  if (fileCount > 1 && !json)
    context.terminal.err(
      `${fileCount} files have the name ${printable(quotedName)}; this is the newest, ${only.fileId} (${shortTime(only.created)}).\n`,
    );
  return only.fileId;
}

/** Versions of one name follow each other; the files of two users have nothing to do with each other. */
function severalUsers(quotedName: string, files: readonly StoredFile[]): string {
  const list = files.slice(0, SHOWN_MAX).map(({ fileId, user, created }) => `${fileId} (${user}, ${shortTime(created)})`);
  const more = files.length > SHOWN_MAX ? ", …" : "";
  return `${files.length} users have a file of the name ${quotedName}; give the ID of one, newest first: ${list.join(", ")}${more}.`;
}
