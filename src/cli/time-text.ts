/** Times of the server as people read them. */

/** `2026-01-31T12:34:56.789Z` becomes `2026-01-31 12:34`, in UTC. */
export function shortTime(iso: string | undefined): string {
  return iso === undefined ? "" : iso.slice(0, 16).replace("T", " ");
}
