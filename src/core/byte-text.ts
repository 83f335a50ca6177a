/** Text kept in byte columns: names, users and identities must compare as bytes, which the collations of SQL servers do not do. */
const encoder = new TextEncoder();
const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/** UTF-8; a lone surrogate becomes U+FFFD. */
export function bytesOf(text: string): Uint8Array {
  return encoder.encode(text);
}

/** @throws {TypeError} for bytes that {@link bytesOf} never made */
export function textOf(bytes: Uint8Array): string {
  return decoder.decode(bytes);
}
