/**
 * The request target, read once: `/segment/segment?name=value`.
 *
 * T1: each segment is percent-decoded exactly once, after splitting, so that nothing decoded can become a separator or a parent.
 * T2: what no honest client sends (a separator, a control character, a parent, an encoded dot, bytes that are not UTF-8) is
 *     refused here and reaches no route.
 * T3: a plain `.` before other segments is nothing (RFC 3986, section 5.2.4): rclone writes one before a folder whose name has a colon, for
 *     a relative link that begins with it would begin with a scheme.
 */
import { TroupeError } from "../core/errors.ts";
import { QUERY_PARAMETERS_MAX, TARGET_BYTES_MAX } from "../core/limits.ts";

export interface Target {
  /** Decoded; `/` alone is one empty segment. */
  readonly segments: readonly string[];
  /** Decoded; of several parameters of one name the first counts. */
  readonly query: ReadonlyMap<string, string>;
}

/** @throws {TroupeError} `BAD_PATH`, or `BAD_REQUEST` for a query that cannot be read */
export function parseTarget(target: string): Target {
  if (target.length > TARGET_BYTES_MAX) throw new TroupeError("BAD_PATH", `The request target is longer than ${TARGET_BYTES_MAX} bytes.`);
  if (!target.startsWith("/")) throw new TroupeError("BAD_PATH", "The request target is a path that begins with '/'.");
  const { path, query } = splitTarget(target);
  return { segments: withoutHere(path.slice(1).split("/")).map(decodeSegment), query: parseQuery(query) };
}

/** The path of a target without its query, undecoded: what a log may show, for a query may hold a signature. */
export function splitTarget(target: string): { readonly path: string; readonly query: string } {
  const mark = target.indexOf("?");
  return mark === -1 ? { path: target, query: "" } : { path: target.slice(0, mark), query: target.slice(mark + 1) };
}

/** T3 */
function withoutHere(segments: readonly string[]): readonly string[] {
  return segments.filter((segment, index) => segment !== "." || index === segments.length - 1);
}

function decodeSegment(segment: string): string {
  let decoded: string;
  try {
    decoded = segment.includes("%") ? decodeURIComponent(segment) : segment;
  } catch (error) {
    throw new TroupeError("BAD_PATH", "The path holds a percent sign that does not begin an encoded byte of UTF-8.", { cause: error });
  }
  if (decoded === "." || decoded === "..") throw new TroupeError("BAD_PATH", "No segment of a path is '.' or '..'.");
  // A fragment never belongs into a request, while an encoded '#' is a character of a name.
  if (segment.includes("#")) throw new TroupeError("BAD_PATH", "A request target has no fragment.");
  // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what is refused
  if (/[/\\\u0000-\u001f\u007f]/.test(decoded))
    throw new TroupeError("BAD_PATH", "No segment of a path holds a slash, a backslash or a control character.");
  return decoded;
}

function parseQuery(text: string): ReadonlyMap<string, string> {
  const query = new Map<string, string>();
  if (text === "") return query;
  const pairs = text.split("&");
  if (pairs.length > QUERY_PARAMETERS_MAX)
    throw new TroupeError("BAD_REQUEST", `The query has more than ${QUERY_PARAMETERS_MAX} parameters.`);
  for (const pair of pairs) {
    const equals = pair.indexOf("=");
    const name = decodeQuery(equals === -1 ? pair : pair.slice(0, equals));
    if (!query.has(name)) query.set(name, equals === -1 ? "" : decodeQuery(pair.slice(equals + 1)));
  }
  return query;
}

function decodeQuery(text: string): string {
  try {
    return decodeURIComponent(text.replaceAll("+", " "));
  } catch (error) {
    throw new TroupeError("BAD_REQUEST", "The query holds a percent sign that does not begin an encoded byte of UTF-8.", { cause: error });
  }
}
