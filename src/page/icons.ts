/** Drawn here: nothing is fetched for them. Each is a decoration beside words or a label. */
import type { VNode } from "preact";
import { html } from "./html.ts";

const PATHS = {
  folder: "M3 7a2 2 0 0 1 2-2h4l2 2h8a2 2 0 0 1 2 2v8a2 2 0 0 1-2 2H5a2 2 0 0 1-2-2z",
  file: "M6 3h8l5 5v13H6zM14 3v5h5",
  video: "M4 5h16v14H4zM10 9.2v5.6l5-2.8z",
  audio: "M9 18V6l10-2v12M9 18a2.5 2.5 0 1 1-5 0 2.5 2.5 0 0 1 5 0zM19 16a2.5 2.5 0 1 1-5 0 2.5 2.5 0 0 1 5 0z",
  image: "M4 5h16v14H4zM4 16l5-5 4 4 3-3 4 4M15.5 9.5h.01",
  text: "M6 3h8l5 5v13H6zM14 3v5h5M9 13h7M9 17h5",
  upload: "M12 16V5M7.5 9.5 12 5l4.5 4.5M5 19h14",
  pause: "M9 6v12M15 6v12",
  play: "M8 5.5v13l10-6.5z",
  again: "M19 12a7 7 0 1 1-2.2-5.1M19 4v4h-4",
  close: "M6 6l12 12M18 6 6 18",
  check: "M5 12.5 10 17l9-10",
  link: "M10 14a4 4 0 0 0 6 .5l3-3a4 4 0 0 0-5.6-5.6L12 7.2M14 10a4 4 0 0 0-6-.5l-3 3a4 4 0 0 0 5.6 5.6l1.4-1.3",
  download: "M12 5v11M7.5 11.5 12 16l4.5-4.5M5 19h14",
  rename: "M4 20h4L19 9l-4-4L4 16zM13 7l4 4",
  delete: "M5 7h14M10 7V4h4v3M7 7l1 13h8l1-13M10.5 11v5M13.5 11v5",
  more: "M5.5 12h.01M12 12h.01M18.5 12h.01",
  search: "M11 18a7 7 0 1 0 0-14 7 7 0 0 0 0 14zM16 16l4.5 4.5",
  left: "M14.5 5.5 8 12l6.5 6.5",
  right: "M9.5 5.5 16 12l-6.5 6.5",
  warning: "M12 4 2.8 20h18.4zM12 10v4.5M12 17.3h.01",
} as const;
export type IconName = keyof typeof PATHS;

export function Icon({ name }: { readonly name: IconName }): VNode {
  return html`<svg class=${`icon icon-${name}`} viewBox="0 0 24 24" aria-hidden="true"><path d=${PATHS[name]} /></svg>`;
}

/** By what one would do with it. */
export function iconOf(contentType: string): IconName {
  const [kind] = contentType.split("/");
  if (kind === "video" || kind === "audio" || kind === "image" || kind === "text") return kind;
  return contentType.startsWith("application/pdf") || contentType.startsWith("application/json") ? "text" : "file";
}
