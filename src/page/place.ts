/** Where one is, as the address bar has it: `#/user/folder/inner/`, with `?show=fileId` while a file is open. Back and reload just work. */

export interface Place {
  readonly user: string;
  /** Empty, or ends in `/`. */
  readonly folder: string;
  /** The file that is shown. */
  readonly show?: string | undefined;
}

export const USER_DEFAULT = "default";

export function placeOf(hash: string): Place {
  const [path = "", query = ""] = hash.replace(/^#\/?/, "").split("?", 2);
  const [user, ...folders] = path
    .split("/")
    .filter((part) => part !== "")
    .map(decoded);
  const show = new URLSearchParams(query).get("show") ?? undefined;
  return { user: user ?? USER_DEFAULT, folder: folders.map((part) => `${part}/`).join(""), show };
}

export function hashOf({ user, folder, show }: Place): string {
  const path = [user, ...folder.split("/").filter((part) => part !== "")].map(encodeURIComponent).join("/");
  return `#/${path}/${show === undefined ? "" : `?show=${encodeURIComponent(show)}`}`;
}

/** The listing of a folder, for programs. */
export function listingPath({ user, folder }: Place): string {
  return `/browse/${[user, ...folder.split("/").filter((part) => part !== "")].map(encodeURIComponent).join("/")}/`;
}

/** Somebody typed it. */
function decoded(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}

/** The bytes of a file, with its own name last, which is what a download is called. */
export function filePath({ fileId, name }: { readonly fileId: string; readonly name: string }): string {
  return `/files/${fileId}/${encodeURIComponent(name.slice(name.lastIndexOf("/") + 1))}`;
}
