/** What the machine knows, at a moment: its context, what the last step changed in it, and what is done for it. */
import type { VNode } from "preact";
import type { Moment } from "../../inspector/replay.ts";
import { html } from "../html.ts";
import { durationText } from "./inspect-words.ts";
import { valueText } from "./value-text.ts";

interface ContextProps {
  readonly moment: Moment;
  readonly isNow: boolean;
  readonly effects: readonly { readonly name: string; readonly sinceMs: number }[];
}

export function ContextTable({ moment, isNow, effects }: ContextProps): VNode {
  const { context, step, state } = moment;
  const changed = new Set(step?.changes.map(({ field }) => field));
  const fields = [...new Set([...Object.keys(context), ...changed])];
  return html`<section class="card context" aria-label="Context">
    <header><h2>${isNow ? "Context" : "Context then"}</h2><p class="hint"><code data-moment=${state}>${state}</code></p></header>
    <dl>
      ${fields.map(
        (field) =>
          html`<div key=${field} class=${changed.has(field) ? "changed" : ""} data-field=${field}><dt>${field}</dt><dd>${valueText(context[field])}</dd></div>`,
      )}
    </dl>
    ${
      effects.length > 0 &&
      html`<p class="effects hint">Under way: ${effects.map(({ name, sinceMs }) => html`<code key=${name} title=${`for ${durationText(Math.max(0, Date.now() - sinceMs))}`}>${name}</code> `)}</p>`
    }
  </section>`;
}
