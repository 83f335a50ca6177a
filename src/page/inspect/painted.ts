/** What the inspector paints, as nodes of the page. */
import { h, type VNode } from "preact";
import type { Element as Painted } from "../../inspector/element.ts";

export function painted({ tag, attributes, children }: Painted, more: Readonly<Record<string, unknown>> = {}): VNode {
  return h(tag, { ...attributes, ...more }, ...children.map((child) => (typeof child === "string" ? child : painted(child))));
}
