/** A state as a coloured word. */
import type { VNode } from "preact";
import { html } from "../html.ts";

/** How a state is to be taken; a word that is not here is one on the way. */
const TONES: Readonly<Record<string, string>> = {
  merged: "good",
  live: "good",
  active: "good",
  failed: "bad",
  crashed: "bad",
  givenUp: "bad",
  offline: "bad",
  cancelled: "past",
  expired: "past",
  resting: "past",
  stopped: "past",
  left: "past",
};

export function StateMark({ state }: { readonly state: string }): VNode {
  return html`<span class=${`state-mark ${TONES[state] ?? "going"}`} data-state=${state}>${state}</span>`;
}
