/**
 * `Upload-Metadata`: pairs with commas between them, each a key, a space and a value in Base64, which may be missing. What names, types and
 * labels a file here has is taken from it; all of it is given back as it came.
 */
import mime from "mime";
import type { DigestClaim } from "../../core/digest.ts";
import { TroupeError } from "../../core/errors.ts";
import { TUS_METADATA_CHARACTERS_MAX } from "../../core/limits.ts";
import { app as appShape, digestClaim, nameFault, user as userShape } from "../../core/shapes.ts";
import { typeOfUpload } from "../content-type.ts";
import type { UploadWish } from "../upload-creation.ts";

const PAIR = /^ *([\x21-\x2b\x2d-\x7e]+)(?: ((?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?))? *$/;
const UNNAMED = "unnamed";

/** What a file gets from the metadata of its upload. */
export type Described = Pick<UploadWish, "name" | "contentType" | "app" | "user" | "digest">;

/**
 * Keys are not empty, have no space and no comma, are ASCII, and none is there twice.
 * @throws {TroupeError} `BAD_REQUEST`, `HEADERS_TOO_LARGE`
 */
export function parseMetadata(field: string): ReadonlyMap<string, string> {
  if (field.length > TUS_METADATA_CHARACTERS_MAX)
    throw new TroupeError("HEADERS_TOO_LARGE", `Upload-Metadata has at most ${TUS_METADATA_CHARACTERS_MAX} characters here.`);
  const pairs = new Map<string, string>();
  if (field.trim() === "") return pairs;
  for (const pair of field.split(",")) {
    const [, key, base64 = ""] = PAIR.exec(pair) ?? [];
    if (key === undefined)
      throw new TroupeError("BAD_REQUEST", "Upload-Metadata has pairs with commas between them: a key, a space, and a value in Base64.");
    if (pairs.has(key)) throw new TroupeError("BAD_REQUEST", `Upload-Metadata has the key ${key} twice.`);
    pairs.set(key, base64);
  }
  return pairs;
}

/** @throws {TroupeError} `BAD_NAME`, `BAD_DIGEST`, and what {@link parseMetadata} throws */
export function describe(field: string | undefined): Described {
  const pairs = parseMetadata(field ?? "");
  // Clients differ in what they call a thing; those in use are these. The first that says anything counts.
  const first = (...keys: readonly string[]): string | undefined => {
    for (const key of keys) {
      const value = pairs.get(key);
      if (value !== undefined && value !== "") return text(key, value);
    }
    return undefined;
  };
  const type = first("filetype", "type", "contentType", "content-type");
  const name = first("filename", "name") ?? nameByType(type);
  const fault = nameFault(name);
  if (fault !== undefined) throw new TroupeError("BAD_NAME", `The name in Upload-Metadata is not one: ${fault}.`);
  const digest = first("digest");
  return {
    name,
    contentType: typeOfUpload(type, name),
    app: label(appShape, "app", first("app")),
    user: label(userShape, "user", first("user")),
    digest: digest === undefined ? undefined : claim(digest),
  };
}

function text(key: string, base64: string): string {
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(Buffer.from(base64, "base64"));
  } catch (error) {
    throw new TroupeError("BAD_REQUEST", `The value of ${key} in Upload-Metadata is not UTF-8.`, { cause: error });
  }
}

/** A file that came without a name has one that its type at least tells apart. */
function nameByType(type: string | undefined): string {
  const extension = type === undefined ? null : mime.getExtension(type);
  return extension === null ? UNNAMED : `${UNNAMED}.${extension}`;
}

function label(shape: typeof appShape | typeof userShape, key: string, value: string | undefined): string {
  const checked = shape.safeParse(value ?? "default");
  if (!checked.success)
    throw new TroupeError("BAD_REQUEST", `${key} in Upload-Metadata is ${checked.error.issues[0]?.message ?? "no label"}.`);
  return checked.data;
}

/** `sha256:<hex>`: the file is one only if its content has this digest. */
function claim(words: string): DigestClaim {
  const colon = words.indexOf(":");
  const checked = digestClaim.safeParse({ algorithm: words.slice(0, colon), value: words.slice(colon + 1) });
  if (!checked.success)
    throw new TroupeError("BAD_DIGEST", "digest in Upload-Metadata has the form sha256:<hex>; also blake3, sha1 and md5.");
  return checked.data;
}
