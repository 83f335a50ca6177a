/** Numbers, times and errors as people read them. */

const UNITS = ["bytes", "KB", "MB", "GB", "TB", "PB"];
const STEP = 1000;

/** `12.3 MB`: decimal units, as browsers and disks are labelled. */
export function bytesText(bytes: number): string {
  if (bytes === 1) return "1 byte";
  const power = bytes < STEP ? 0 : Math.min(UNITS.length - 1, Math.floor(Math.log10(bytes) / 3));
  const value = bytes / STEP ** power;
  const digits = power === 0 || value >= 99.95 ? 0 : 1;
  // 999,960 bytes are 1.0 MB and not 1000 KB.
  if (value.toFixed(digits) === "1000" && power < UNITS.length - 1) return `1.0 ${UNITS[power + 1]}`;
  return `${value.toFixed(digits)} ${UNITS[power]}`;
}

/** `about 2 minutes`: a guess is told as one. */
export function timeLeftText(seconds: number): string {
  if (seconds < 5) return "a few seconds left";
  if (seconds < 60) return `${Math.ceil(seconds / 5) * 5} seconds left`;
  if (seconds < 90 * 60) return counted(Math.round(seconds / 60), "minute", "left");
  if (seconds < 36 * 3600) return counted(Math.round(seconds / 3600), "hour", "left");
  return counted(Math.round(seconds / 86_400), "day", "left");
}

const counted = (count: number, unit: string, rest: string): string => `${count} ${unit}${count === 1 ? "" : "s"} ${rest}`;

/** `3 files`. */
export function countText(count: number, one: string, several = `${one}s`): string {
  return `${count.toLocaleString("en")} ${count === 1 ? one : several}`;
}

/** The last part of a name that may hold folders. */
export function baseName(name: string): string {
  return name.slice(name.lastIndexOf("/") + 1);
}

/** What an error means and what to do about it, by its code; codes without a line here speak for themselves. */
const SENTENCES: Readonly<Record<string, string>> = {
  BAD_NAME: "This name cannot be stored: with its folders it may have 255 bytes, no control characters, and no “.” or “..” as a folder.",
  NAME_TAKEN: "A file of this name is there already. Choose another name, or delete that file first.",
  TOO_LARGE: "The file is larger than this server takes.",
  DISK_FULL: "The server has not enough free space. Free some; what was sent stays there.",
  UPLOAD_CANCELLED: "Somebody cancelled this upload. Try again to start anew.",
  UPLOAD_EXPIRED: "This upload was left alone too long and has expired. Try again to start anew.",
  UPLOAD_NOT_FOUND: "The server does not know this upload any more. Try again to start anew.",
  UPLOAD_FAILED: "The server could not finish this upload. Try again to start anew.",
  CHUNK_CONFLICT: "This is not the file that the upload was begun with. Cancel the upload and drop the file again.",
  FILE_NOT_FOUND: "This file is gone: somebody has deleted it.",
  UNAUTHORIZED: "Sign in to go on.",
  FORBIDDEN: "You may not do this here.",
  FOREIGN_HOST: "The server is not known by the name in the address bar. Whoever runs it can add it with --public-url.",
  NO_NODES: "No storage node takes uploads.",
  DATABASE_UNAVAILABLE: "The server cannot reach its database.",
  BUS_UNAVAILABLE: "The server cannot reach its message bus.",
  OVERLOADED: "The server has too much to do at the moment.",
  STOPPING: "The server is being restarted.",
};

interface Coded {
  readonly code?: unknown;
  readonly message?: unknown;
}

/** One sentence or two for a person. */
export function errorText(error: unknown): string {
  const { code, message } = (typeof error === "object" && error !== null ? error : {}) as Coded;
  const sentence = typeof code === "string" ? SENTENCES[code] : undefined;
  return sentence ?? (typeof message === "string" && message !== "" ? message : "Something went wrong. Try again.");
}
