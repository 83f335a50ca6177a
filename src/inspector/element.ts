/**
 * Markup as a value: what is painted once becomes a file, a terminal's output, or nodes of the page, each by a few lines.
 *
 * E1: what {@link elementText} gives is well-formed XML, whatever the texts and attributes hold.
 */
export interface Element {
  readonly tag: string;
  readonly attributes: Readonly<Record<string, string>>;
  readonly children: readonly (Element | string)[];
}

export function element(
  tag: string,
  attributes: Readonly<Record<string, string>> = {},
  ...children: readonly (Element | string)[]
): Element {
  return { tag, attributes, children };
}

/** One line an element, indented, so that a change of a picture is a readable difference. A text stays on the line of its element. */
export function elementText({ tag, attributes, children }: Element, indent = ""): string {
  const start = `${indent}<${tag}${Object.entries(attributes)
    .map(([name, value]) => ` ${name}="${escaped(value)}"`)
    .join("")}`;
  if (children.length === 0) return `${start}/>\n`;
  if (children.every((child) => typeof child === "string")) return `${start}>${children.map(escaped).join("")}</${tag}>\n`;
  const inner = children.map((child) => (typeof child === "string" ? `${indent}  ${escaped(child)}\n` : elementText(child, `${indent}  `)));
  return `${start}>\n${inner.join("")}${indent}</${tag}>\n`;
}

const ESCAPES: Readonly<Record<string, string>> = { "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;" };

/** E1: what XML cannot hold at all is replaced. */
function escaped(text: string): string {
  return text
    .toWellFormed()
    .replace(/[&<>"]/g, (character) => ESCAPES[character] as string)
    .replace(/[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\u{10000}-\u{10ffff}]/gu, "\ufffd");
}
