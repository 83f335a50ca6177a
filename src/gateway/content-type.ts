/** What type a new file has, and which stored types a browser may be trusted to show. */
import mime from "mime";
import { contentType as contentTypeShape } from "../core/shapes.ts";

const UNKNOWN = "application/octet-stream";
/** What curl says when nobody told it anything. */
const SAYS_NOTHING = "application/x-www-form-urlencoded";

/** The claimed type if it is one and says something, otherwise a guess by the name. */
export function typeOfUpload(claimed: string | undefined, name: string): string {
  if (claimed !== undefined && !claimed.toLowerCase().startsWith(SAYS_NOTHING) && contentTypeShape.safeParse(claimed).success)
    return claimed;
  return guessType(name);
}

/** Of a part of a form: these two types are what is said by whoever does not know, and then the name may know more. */
export function typeOfPart(claimed: string, name: string): string {
  if (claimed !== UNKNOWN && claimed !== "text/plain") return typeOfUpload(claimed, name);
  const guessed = guessType(name);
  return guessed === UNKNOWN ? claimed : guessed;
}

export function guessType(name: string): string {
  const type = mime.getType(name) ?? UNKNOWN;
  // Without a charset a browser takes plain text for windows-1252. Markup says its own.
  return type.startsWith("text/") && type !== "text/html" && type !== "text/xml" ? `${type}; charset=utf-8` : type;
}

/** Types in which nothing runs. Whatever else there is (HTML, SVG, XML, unknown ones) is shown in a sandbox only. */
export function isInert(contentType: string): boolean {
  const type = contentType.split(";")[0]?.trim().toLowerCase() ?? "";
  if (type === "text/plain" || type === "application/pdf") return true;
  return /^(video|audio|image)\/[\w.+-]+$/.test(type) && !type.endsWith("xml");
}
