/** Dates in HTTP fields: the three forms of RFC 9110 section 5.6.7 are read, the first of them is written. Whole seconds. */

const MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
const DAY = "(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun)";
const LONG_DAY = "(?:Monday|Tuesday|Wednesday|Thursday|Friday|Saturday|Sunday)";
const MONTH = `(${MONTHS.join("|")})`;
const TIME = "(\\d{2}):(\\d{2}):(\\d{2})";
const IMF = new RegExp(`^${DAY}, (\\d{2}) ${MONTH} (\\d{4}) ${TIME} GMT$`);
const RFC_850 = new RegExp(`^${LONG_DAY}, (\\d{2})-${MONTH}-(\\d{2}) ${TIME} GMT$`);
const ASCTIME = new RegExp(`^${DAY} ${MONTH} ([ \\d]\\d) ${TIME} (\\d{4})$`);
const HALF_CENTURY = 50;

/** `Sun, 06 Nov 1994 08:49:37 GMT`; milliseconds are cut off. */
export function formatHttpDate(wallMs: number): string {
  return new Date(Math.floor(wallMs / 1000) * 1000).toUTCString();
}

/**
 * @param nowMs decides the century of a two-digit year: one more than 50 years ahead is the most recent past year of those digits
 * @returns milliseconds since 1970, or `undefined` when the text is no such date
 */
export function parseHttpDate(text: string, nowMs: number): number | undefined {
  const imf = IMF.exec(text);
  if (imf !== null) return instant(Number(imf[3]), imf[2], imf[1], imf.slice(4));
  const asctime = ASCTIME.exec(text);
  if (asctime !== null) return instant(Number(asctime[6]), asctime[1], asctime[2], asctime.slice(3, 6));
  const old = RFC_850.exec(text);
  if (old === null) return undefined;
  const thisYear = new Date(nowMs).getUTCFullYear();
  const year = thisYear - (thisYear % 100) + Number(old[3]);
  return instant(year > thisYear + HALF_CENTURY ? year - 100 : year, old[2], old[1], old.slice(4));
}

function instant(year: number, month: string | undefined, day: string | undefined, time: readonly string[]): number | undefined {
  const [hour, minute, second] = time.map(Number) as [number, number, number];
  const monthIndex = MONTHS.indexOf(month ?? "");
  const dayNumber = Number(day);
  // A leap second is written as 60.
  if (hour > 23 || minute > 59 || second > 60) return undefined;
  const date = new Date(0);
  date.setUTCFullYear(year, monthIndex, dayNumber);
  // A day the month does not have would have rolled over into the next one.
  if (date.getUTCMonth() !== monthIndex || date.getUTCDate() !== dayNumber) return undefined;
  return date.getTime() + ((hour * 60 + minute) * 60 + second) * 1000;
}
