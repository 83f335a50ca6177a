/** The steps a machine took, newest first, with what each changed; one goes to a step by pressing it. */
import type { VNode } from "preact";
import { useEffect, useRef } from "preact/hooks";
import type { InspectedStep } from "../../inspector/inspected.ts";
import { html } from "../html.ts";
import { countText } from "../words.ts";
import type { Inspected } from "./inspect-answers.ts";
import { clockText, durationText, stateName } from "./inspect-words.ts";
import { valueText } from "./value-text.ts";

interface LogProps {
  readonly machine: Inspected;
  readonly position: number;
  readonly go: (position: number) => void;
}

export function EventLog({ machine, position, go }: LogProps): VNode {
  const { steps, isCut } = machine;
  const list = useRef<HTMLOListElement>(null);
  useEffect(() => {
    const box = list.current;
    const current = box?.querySelector<HTMLElement>("[aria-current]");
    if (box === null || current === null || current === undefined) return;
    const top = current.offsetTop - box.offsetTop;
    if (top < box.scrollTop || top + current.offsetHeight > box.scrollTop + box.clientHeight) box.scrollTop = top - box.clientHeight / 2;
  }, [position]);
  return html`<section class="card log" aria-label="Log">
    <header><h2>Log</h2><p class="hint">${countText(steps.at(-1)?.last ?? 0, "step")}${isCut ? ", the oldest are gone" : ""}</p></header>
    <ol ref=${list} reversed>
      ${steps
        .map(
          (step, index) =>
            html`<${LogEntry} key=${step.first} step=${step} isCurrent=${index === position - 1} isFuture=${index >= position} onPress=${() => go(index + 1)} />`,
        )
        .toReversed()}
    </ol>
  </section>`;
}

interface EntryProps {
  readonly step: InspectedStep;
  readonly isCurrent: boolean;
  readonly isFuture: boolean;
  readonly onPress: () => void;
}

function LogEntry({ step, isCurrent, isFuture, onPress }: EntryProps): VNode {
  const { first, last, fromMs, atMs, from, to, events, changes, isIgnored } = step;
  const moved = from === to ? "" : `${stateName(from)} → ${stateName(to)}`;
  return html`<li class=${isFuture ? "future" : ""} aria-current=${isCurrent ? "step" : undefined}>
    <button type="button" onClick=${onPress}>
      <span class="line">
        <span class="number">${first === last ? first : `${first}–${last}`}</span>
        <span class="event">${events.map(({ event, count }) => (count === 1 ? event : `${event} × ${count.toLocaleString("en")}`)).join(", ")}</span>
        <time datetime=${new Date(fromMs).toISOString()}>${clockText(fromMs)}${atMs > fromMs ? ` +${durationText(atMs - fromMs)}` : ""}</time>
      </span>
      ${moved !== "" && html`<span class="moved">${moved}</span>`}
      ${isIgnored === true && html`<span class="moved">the state does not know it: nothing happened</span>`}
      ${changes.map(
        ({ field, before, after }) =>
          html`<span class="change" key=${field}><i>${field}</i> <del>${valueText(before)}</del> <ins>${valueText(after)}</ins></span>`,
      )}
    </button>
  </li>`;
}
