/** Times of the server as people read them. */

/** `2026-01-31T12:34:56.789Z` becomes `2026-01-31 12:34`, or what the clock on this machine's wall showed then. */
export function shortTime(iso: string | undefined): string {
  if (iso === undefined) return "";
  const time = new Date(iso);
  const pair = (number: number): string => String(number).padStart(2, "0");
  const date = `${time.getFullYear()}-${pair(time.getMonth() + 1)}-${pair(time.getDate())}`;
  return `${date} ${pair(time.getHours())}:${pair(time.getMinutes())}`;
}
