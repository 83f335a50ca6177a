/**
 * Addresses below `/browse/`: `/browse/{user}/{name}`, each part percent-encoded.
 *
 * A label or a name may hold what no address can (T2 of `target.ts`): a backslash, in a label also a slash. Such files have their
 * address by ID, and nothing else.
 */

export const BROWSE = "/browse/";

/** Of one part of a path, or `undefined` when no address can hold it. A colon is encoded, so that nothing relative looks like a scheme. */
export function browseSegment(text: string): string | undefined {
  return text === "." || text === ".." || /[/\\]/.test(text) ? undefined : encodeURIComponent(text);
}

/** Of parts that came from an address. */
export function browsePath(...parts: readonly string[]): string {
  return `${BROWSE}${parts.map((part) => part.split("/").map(encodeURIComponent).join("/")).join("/")}`;
}
