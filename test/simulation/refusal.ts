/** A command that cannot be carried out as it was given: the message says why, and what to do. */
export class Refusal extends Error {}

const FILE_TROUBLES: Readonly<Record<string, string>> = {
  ENOENT: "there is no such file",
  EISDIR: "it is a directory, where a file has to be",
  ENOTDIR: "a file is where a folder has to be; move it away",
  EEXIST: "a file is where a folder has to be; move it away",
  EACCES: "this user may not; change who may, or become another user",
  EPERM: "this user may not; change who may, or become another user",
  EROFS: "its file system is read-only; work in a checkout that can be written",
  ENOSPC: "there is no room left; make some",
  EDQUOT: "there is no room left for this user; make some",
};

/** Why a file or folder could not be read or written, and what to do about it. */
export function fileTrouble(error: unknown): string {
  const { code = "", message } = error as NodeJS.ErrnoException;
  return FILE_TROUBLES[code] ?? message;
}
