/** What people give to name a file: its ID, or a URL this store printed. Only the ID is taken from a URL: no token goes where it points. */
import { TroupeError } from "../core/errors.ts";
import { FILE_ID_PATTERN, isFileId } from "../core/file-id.ts";

/** @throws {TroupeError} `BAD_REQUEST` */
export function fileIdOf(text: string): string {
  if (FILE_ID_PATTERN.test(text)) return text;
  const segments = URL.parse(text)?.pathname.split("/") ?? [];
  const found = segments.find((segment, index) => segments[index - 1] === "files" && isFileId(segment));
  if (found !== undefined) return found;
  throw new TroupeError("BAD_REQUEST", `${JSON.stringify(text.slice(0, 200))} is neither a file ID (36 characters) nor the URL of a file.`);
}
