/** The machines there are, as plain charts. */
import type { VNode } from "preact";
import { html } from "../html.ts";
import { ChartView } from "./chart-view.ts";
import { inspectHashOf, MACHINE_NAMES, type MachineName } from "./inspect-place.ts";

const SENTENCES: Readonly<Record<MachineName, string>> = {
  upload:
    "An upload’s session on its storage node: chunks come in any order, the merge makes them a file, and what has ended does not come back.",
  actor: "The life of an actor: the next message starts it, what crashed is started again after a pause, until it has crashed too often.",
  node: "A storage node as the trackers see it: uploads go to it while it is active.",
};

export function MachineView({ name }: { readonly name: MachineName }): VNode {
  return html`
    <div class="machine-head">
      <h1>Machine of ${name === "upload" ? "an upload" : name === "actor" ? "an actor" : "a storage node"}</h1>
      <nav class="segments" aria-label="Machines">
        ${MACHINE_NAMES.map(
          (other) =>
            html`<a key=${other} href=${inspectHashOf({ view: "machine", name: other })} aria-current=${other === name ? "page" : undefined}>${other}</a>`,
        )}
      </nav>
    </div>
    <p class="hint wide-text">${SENTENCES[name]}</p>
    <section class="card chart-card"><${ChartView} name=${name} marks=${() => ({})} isPlain=${true} /></section>
    <p class="hint">In a state: what is done when it is <i>entered</i>, and events that do not leave it. On an arrow: the event, <i>[its condition]</i>, / what is done.</p>
  `;
}
