/**
 * `Content-Disposition` for a file name (RFC 6266): a plain `filename` any client reads, and the true name in UTF-8 (RFC 8187) where
 * they differ. Nothing of the name reaches the field unencoded but letters, digits and a few marks.
 */

/** @param name may hold `/`; what stands after the last one is what a browser saves */
export function contentDisposition(kind: "inline" | "attachment", name: string): string {
  const last = name.slice(name.lastIndexOf("/") + 1);
  const plain = last
    .normalize("NFKD")
    .replace(/\p{Mark}/gu, "")
    .replace(/[^A-Za-z0-9 !#$&+.^_`{}~()@,=-]/gu, "_");
  const field = `${kind}; filename="${plain}"`;
  return plain === last ? field : `${field}; filename*=UTF-8''${extendedValue(last)}`;
}

/** Percent-encodes all but RFC 8187's attr-char. */
function extendedValue(text: string): string {
  return encodeURIComponent(text).replace(/[*'()]/g, (mark) => `%${mark.charCodeAt(0).toString(16).toUpperCase()}`);
}
