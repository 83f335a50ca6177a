/** A value of a machine's context, short. */
const LENGTH_MAX = 300;

export function valueText(value: unknown): string {
  if (value === undefined || value === null) return "—";
  if (typeof value === "boolean") return value ? "yes" : "no";
  if (typeof value === "number") return value.toLocaleString("en");
  const text = withoutDigests(typeof value === "string" ? value : inWords(value));
  return text.length <= LENGTH_MAX ? text : `${text.slice(0, LENGTH_MAX)}…`;
}

/** Of a digest, as much as one compares by eye. */
export function withoutDigests(text: string): string {
  return text.replace(/\b[0-9a-f]{24,}\b/g, (digest) => `${digest.slice(0, 8)}…${digest.slice(-4)}`);
}

function inWords(value: unknown): string {
  if (Array.isArray(value) || typeof value !== "object" || value === null) return JSON.stringify(value);
  if ("code" in value && "detail" in value) return `${value.code}: ${value.detail}`;
  return Object.entries(value)
    .map(([field, inner]) => `${field}: ${typeof inner === "string" ? inner : JSON.stringify(inner)}`)
    .join(", ");
}
