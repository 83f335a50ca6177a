/** Processes and the actors they host, and storage nodes; the one that is chosen is lit in its machine. */
import type { VNode } from "preact";
import { useState } from "preact/hooks";
import { edgeTaken } from "../../inspector/chart.ts";
import type { LaidOutChart } from "../../inspector/laid-out-chart.ts";
import type { Marks } from "../../inspector/marks.ts";
import { html } from "../html.ts";
import { useWatched } from "../store.ts";
import { bytesText, countText } from "../words.ts";
import type { ActorList } from "./actor-list.ts";
import { ChartView } from "./chart-view.ts";
import type { ActorAnswer, NodeAnswer, ProcessAnswer } from "./inspect-answers.ts";
import { inspectHashOf, type MachineName } from "./inspect-place.ts";
import { durationText } from "./inspect-words.ts";
import { StateMark } from "./state-mark.ts";
import { statePath } from "./state-path.ts";

export function ActorsView({ actors }: { readonly actors: ActorList }): VNode {
  useWatched(actors);
  const { processes, nodes, message } = actors;
  const [chosen, setChosen] = useState<string | undefined>(undefined);
  if (processes === undefined) return html`<p class="nothing" role="status">${message ?? "Looking…"}</p>`;
  const all = processes.flatMap((process) => process.actors.map((actor) => ({ key: `${process.nodeId} ${actor.subject}`, actor })));
  const node = nodes.find(({ nodeId }) => chosen === `node ${nodeId}`);
  const shown = node === undefined ? (all.find(({ key }) => key === chosen) ?? all[0]) : undefined;
  const uploadId = shown?.actor.actor === "upload" ? shown.actor.subject.slice(shown.actor.subject.lastIndexOf(".") + 1) : undefined;
  const chart =
    node === undefined
      ? { name: "actor", state: shown?.actor.state, title: shown?.actor.subject }
      : { name: "node", state: stateOf(node), title: node.nodeId };
  return html`
    <h1 class="unseen">Actors</h1>
    ${message && html`<p class="fault" role="status">${message}</p>`}
    <div class="actors">
      <div class="processes">
        <${NodesCard} nodes=${nodes} chosen=${chosen} choose=${setChosen} />
        ${processes.map((process) => html`<${ProcessCard} key=${process.nodeId} process=${process} chosen=${shown?.key} choose=${setChosen} />`)}
      </div>
      <section class=${`card chart-card ${chosen === undefined ? "unchosen" : ""}`} aria-label="Machine of what is chosen">
        <header><h2>${chart.title}</h2>
          ${chart.state && html`<${StateMark} state=${chart.state} />`}
          ${uploadId !== undefined && html`<a class="hint" href=${inspectHashOf({ view: "upload", uploadId })}>Look into this upload</a>`}
        </header>
        <${ChartView}
          name=${chart.name as MachineName}
          marks=${(laidOut: LaidOutChart) => marksOf(laidOut, node === undefined ? shown?.actor : { ...node, state: stateOf(node) })}
        />
      </section>
    </div>
  `;
}

interface CardProps {
  readonly process: ProcessAnswer;
  readonly chosen: string | undefined;
  readonly choose: (key: string) => void;
}

function ProcessCard({ process, chosen, choose }: CardProps): VNode {
  const { nodeId, roles, version, startedMs, actors, counts } = process;
  const total = counts.reduce((sum, { count }) => sum + count, 0);
  return html`<section class="card process" aria-label=${nodeId}>
    <header>
      <h2><code>${nodeId}</code></h2>
      <p class="hint">${roles.join(", ")} · ${version} · up ${durationText(Math.max(0, Date.now() - startedMs))}</p>
    </header>
    <div class="table-box">
      <table aria-label=${`Actors of ${nodeId}`}>
        <thead><tr><th scope="col">Actor</th><th scope="col">State</th><th scope="col" class="figure">Since</th><th scope="col" class="figure">Turns</th><th scope="col" class="figure">Waiting</th><th scope="col" class="figure">Crashes</th><th scope="col" class="figure">Dead letters</th></tr></thead>
        <tbody>
          ${actors.map((actor) => {
            const key = `${nodeId} ${actor.subject}`;
            const { state, sinceMs, turns, waiting, deferred, crashes, deadLetters } = actor;
            return html`<tr key=${key} class=${chosen === key ? "chosen" : ""}>
              <td><button type="button" class="quiet" aria-pressed=${chosen === key} title=${actor.subject} onClick=${() => choose(key)}>${shortSubject(actor, nodeId)}</button></td>
              <td><${StateMark} state=${state} /></td>
              <td class="figure">${durationText(sinceMs)}</td>
              <td class="figure">${turns.toLocaleString("en")}</td>
              <td class="figure">${waiting + deferred}</td>
              <td class=${`figure ${crashes > 0 ? "bad" : ""}`}>${crashes}</td>
              <td class=${`figure ${deadLetters > 0 ? "bad" : ""}`}>${deadLetters}</td>
            </tr>`;
          })}
        </tbody>
      </table>
    </div>
    ${total > actors.length && html`<p class="hint more">${countText(total - actors.length, "more actor")} at rest or at work: ${counts.map(({ actor, count }) => `${count.toLocaleString("en")} ${actor}`).join(", ")}.</p>`}
  </section>`;
}

/** The contract, and which of several: an upload by its ID. */
function shortSubject({ actor, subject }: ActorAnswer, nodeId: string): string {
  const last = subject.slice(subject.lastIndexOf(".") + 1);
  return last === actor || last === nodeId ? actor : `${actor} ${last}`;
}

interface NodesProps {
  readonly nodes: readonly NodeAnswer[];
  readonly chosen: string | undefined;
  readonly choose: (key: string) => void;
}

function NodesCard({ nodes, chosen, choose }: NodesProps): VNode {
  return html`<section class="card process" aria-label="Storage nodes">
    <header><h2>Storage nodes</h2><p class="hint">as the trackers see them</p></header>
    <div class="table-box">
      <table aria-label="Storage nodes">
        <thead><tr><th scope="col">Node</th><th scope="col">State</th><th scope="col" class="figure">Since</th><th scope="col">Group</th><th scope="col" class="figure">Silent</th><th scope="col" class="figure">Free</th></tr></thead>
        <tbody>
          ${nodes.map((node) => {
            const { nodeId, sinceMs, group, silentMs, freeBytes } = node;
            const key = `node ${nodeId}`;
            return html`<tr key=${key} class=${chosen === key ? "chosen" : ""}>
              <td><button type="button" class="quiet" aria-pressed=${chosen === key} onClick=${() => choose(key)}>${nodeId}</button></td>
              <td><${StateMark} state=${stateOf(node)} /></td>
              <td class="figure">${durationText(sinceMs)}</td>
              <td>${group}</td>
              <td class="figure">${durationText(silentMs)}</td>
              <td class="figure">${bytesText(freeBytes)}</td>
            </tr>`;
          })}
        </tbody>
      </table>
    </div>
  </section>`;
}

/** One that stopped on purpose is told as offline to those who do not know the word. */
function stateOf({ state, left }: NodeAnswer): string {
  return left ? "left" : state;
}

function marksOf(chart: LaidOutChart, standing: Pick<ActorAnswer, "state" | "sinceMs" | "recent"> | undefined): Marks {
  if (standing === undefined) return {};
  const { state, sinceMs, recent } = standing;
  const live = statePath(chart, state);
  const visited = recent.flatMap((change) => statePath(chart, change.state) ?? []);
  const counts: Record<string, number> = {};
  let last: string | undefined;
  recent.forEach(({ event, ...change }, index) => {
    const from = statePath(chart, recent[index - 1]?.state ?? "");
    const to = statePath(chart, change.state);
    const edge = event === undefined || from === undefined || to === undefined ? undefined : edgeTaken(chart, { from, event, to });
    if (edge === undefined) return;
    counts[edge.id] = (counts[edge.id] ?? 0) + 1;
    last = edge.id;
  });
  const times = live === undefined ? {} : { [live]: durationText(sinceMs) };
  return { ...(live === undefined ? {} : { live: [live] }), visited, counts, times, ...(last === undefined ? {} : { last }) };
}
