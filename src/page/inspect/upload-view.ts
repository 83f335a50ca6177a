/** One upload: why it waits, its machine with the live state lit or replayed, its log, and the messages that were sent for it. */
import type { VNode } from "preact";
import { useState } from "preact/hooks";
import { marksOf } from "../../inspector/inspection-marks.ts";
import type { LaidOutChart } from "../../inspector/laid-out-chart.ts";
import type { Marks } from "../../inspector/marks.ts";
import { type Moment, momentOf, positionOf } from "../../inspector/replay.ts";
import { html } from "../html.ts";
import { Icon } from "../icons.ts";
import { useWatched } from "../store.ts";
import { baseName, bytesText } from "../words.ts";
import { allowedEvents } from "./allowed-events.ts";
import { ChartView } from "./chart-view.ts";
import { ContextTable } from "./context-table.ts";
import { EventLog } from "./event-log.ts";
import type { Inspected, Inspection } from "./inspect-answers.ts";
import type { InspectPage } from "./inspect-page.ts";
import { inspectHashOf } from "./inspect-place.ts";
import { clockText, dayText, durationText, isOver, readable, stateName } from "./inspect-words.ts";
import { Scrubber } from "./scrubber.ts";
import { SequenceView } from "./sequence-view.ts";
import { StateMark } from "./state-mark.ts";
import { marksOfState } from "./state-path.ts";
import { useTicking } from "./ticking.ts";
import type { UploadWatch } from "./upload-watch.ts";

export function UploadView({ page, watch }: { readonly page: InspectPage; readonly watch: UploadWatch }): VNode {
  useWatched(watch);
  const { inspection, message } = watch;
  const back = html`<a class="back" href=${inspectHashOf({ view: "uploads", filter: page.sessions.filter })}><${Icon} name="left" />List of uploads</a>`;
  if (inspection === undefined) return html`${back}<p class="nothing" role="status">${message ?? "Looking…"}</p>`;
  const { upload, machine, why } = inspection;
  return html`
    <div class="upload-head">
      ${back}
      <h1><bdi>${baseName(upload.name)}</bdi></h1>
      <${StateMark} state=${machine === undefined ? upload.state : stateName(machine.state)} />
      <span class=${`live-sign ${watch.isLive ? "on" : ""}`} role="status">${watch.isLive ? "live" : watch.isOver ? "ended" : (message ?? "connecting…")}</span>
      <${EventButtons} page=${page} inspection=${inspection} uploadId=${watch.uploadId} />
    </div>
    <p class="why" role="status"><span class="unseen">Why it waits: </span>${readable(why)}</p>
    ${machine === undefined ? html`<${WithoutMachine} inspection=${inspection} />` : html`<${MachinePart} watch=${watch} machine=${machine} />`}
    <${Facts} inspection=${inspection} watch=${watch} />
    <${SequenceView} sequence=${watch.sequence} message=${watch.sequenceMessage} />
  `;
}

/** Its node has nothing to tell: where it is, as far as the catalog knows. */
function WithoutMachine({ inspection }: { readonly inspection: Inspection }): VNode {
  const { upload, missing } = inspection;
  return html`<section class="card chart-card">
    <p class="missing">${missing ?? "There is no machine to be seen."}</p>
    <${ChartView} name="upload" marks=${(chart: LaidOutChart) => marksOfState(chart, upload.state)} />
  </section>`;
}

/** The chart and the log, now or as they were at a step. */
function MachinePart({ watch, machine }: { readonly watch: UploadWatch; readonly machine: Inspected }): VNode {
  /** The first step of the entry that is looked at; -1 the beginning, none: as it is now. */
  const [pinned, setPinned] = useState<number | undefined>(undefined);
  const count = machine.steps.length;
  const position = pinned === undefined ? count : Math.min(count, positionOf(machine, pinned));
  const moment = momentOf(machine, position);
  const isNow = pinned === undefined;
  const nowMs = useTicking(isNow && machine.endedMs === undefined, watch.toldAtMs);
  const shown = isNow && machine.endedMs === undefined ? ticked(moment, nowMs) : moment;
  const go = (to: number): void => setPinned(to >= count ? undefined : to <= 0 ? -1 : machine.steps[to - 1]?.first);
  return html`<div class=${`looked-at ${isNow ? "now" : "replayed"}`}>
    <section class="card chart-card" aria-label="Statechart">
      <${ChartView} name="upload" marks=${(chart: LaidOutChart) => marks(chart, shown)} />
      <${Scrubber}
        steps=${machine.steps}
        position=${position}
        isNow=${isNow}
        isEnded=${machine.endedMs !== undefined}
        moment=${moment}
        go=${go}
        goNow=${() => setPinned(undefined)}
      />
    </section>
    <div class="beside">
      <${ContextTable} moment=${moment} isNow=${isNow} effects=${isNow ? underWay(machine) : []} />
      <${EventLog} machine=${machine} position=${position} go=${go} />
    </div>
  </div>`;
}

function underWay({ effects, bodies }: Inspected): Inspected["effects"] {
  const arriving = bodies.map(({ index, sinceMs, arrivedBytes }) => ({
    name: `chunk ${index}, ${bytesText(arrivedBytes)} there`,
    sinceMs,
  }));
  return [...effects, ...arriving];
}

/** The time in the present state goes on between two tellings. */
function ticked(moment: Moment, sinceToldMs: number): Moment {
  const visits = moment.visits.map((visit) => (visit.state === moment.state ? { ...visit, totalMs: visit.totalMs + sinceToldMs } : visit));
  return { ...moment, visits };
}

/** How long something has been over is no time that it took. */
function marks(chart: LaidOutChart, moment: Moment): Marks {
  const { times = {}, ...rest } = marksOf(chart, moment, durationText);
  return { ...rest, times: Object.fromEntries(Object.entries(times).filter(([path]) => !isOver(path))) };
}

function EventButtons(props: { readonly page: InspectPage; readonly inspection: Inspection; readonly uploadId: string }): VNode {
  const { page, inspection, uploadId } = props;
  /** Why the button that was pressed does nothing. */
  const [told, setTold] = useState<string | undefined>(undefined);
  const { upload } = inspection;
  const { cancel, merge } = allowedEvents(inspection);
  const name = baseName(upload.name);
  const there =
    upload.receivedBytes === undefined || upload.receivedBytes === 0
      ? ""
      : ` ${bytesText(upload.receivedBytes)} of it are at the server already and will be thrown away.`;
  const questions = {
    cancel: `“${name}” will be cancelled for everybody who is sending it.${there} This cannot be undone.`,
    merge: `All chunks of “${name}” are there. The node digests them and the catalog makes them a file; that is the same request that its client would send.`,
  };
  const ask = (kind: "cancel" | "merge"): void => page.ask({ kind, uploadId, name, text: questions[kind] });
  return html`<div class="buttons events">
    ${told !== undefined && html`<p class="hint" role="status">Not now: ${told}</p>`}
    <${EventButton} tell=${setTold} label=${upload.lastError === undefined || isOver(upload.state) ? "Merge" : "Merge again"} reason=${merge} kind="" onClick=${() => ask("merge")} />
    <${EventButton} tell=${setTold} label="Cancel" reason=${cancel} kind="dangerous" onClick=${() => ask("cancel")} />
  </div>`;
}

interface EventButtonProps {
  readonly label: string;
  readonly reason: string | undefined;
  readonly kind: string;
  readonly onClick: () => void;
  readonly tell: (reason: string | undefined) => void;
}

/** One that does nothing now says why, to those who point at it, those who press it and those who hear it. */
function EventButton({ label, reason, kind, onClick, tell }: EventButtonProps): VNode {
  return html`<button
    type="button"
    class=${kind}
    aria-disabled=${reason !== undefined}
    title=${reason}
    onClick=${() => {
      tell(reason);
      if (reason === undefined) onClick();
    }}
  >${label}${reason && html`<span class="unseen"> (not now: ${reason})</span>`}</button>`;
}

function Facts({ inspection, watch }: { readonly inspection: Inspection; readonly watch: UploadWatch }): VNode {
  const { upload, machine, host, group, epoch } = inspection;
  const chunks =
    upload.chunkCount === undefined
      ? "—"
      : `${upload.receivedCount ?? "?"} of ${upload.chunkCount}, each ${bytesText(upload.chunkBytes ?? 0)}`;
  const share =
    upload.size === undefined || upload.receivedBytes === undefined || upload.size === 0
      ? undefined
      : Math.min(1, upload.receivedBytes / upload.size);
  const rows: readonly (readonly [string, unknown])[] = [
    ["Name", html`<bdi>${upload.name}</bdi>`],
    ["ID", html`<code>${watch.uploadId}</code>`],
    [
      "Received",
      upload.receivedBytes === undefined
        ? "—"
        : html`${bytesText(upload.receivedBytes)} of ${upload.size === undefined ? "an unknown size" : bytesText(upload.size)}`,
    ],
    ["Chunks", chunks],
    ["In this state since", machine === undefined ? dayText(upload.since) : clockText(machine.sinceMs)],
    ["Opened here", machine === undefined ? "—" : clockText(machine.openedMs)],
    ["Node", html`<code>${host}</code> in ${group}, epoch ${epoch}`],
    ...(upload.expires === undefined ? [] : [["Expires, if nothing comes", dayText(upload.expires)] as const]),
    ...(upload.fileId === undefined
      ? []
      : [["File", html`<a href=${`/files/${upload.fileId}`}><code>${upload.fileId}</code></a>`] as const]),
  ];
  return html`<section class="card facts" aria-label="Facts">
    ${
      share !== undefined &&
      html`<div class="progress" role="progressbar" aria-label="Received" aria-valuemin="0" aria-valuemax="100" aria-valuenow=${Math.floor(share * 100)}>
        <div style=${{ width: `${share * 100}%` }}></div>
      </div>`
    }
    <dl>${rows.map(([title, value]) => html`<div key=${title}><dt>${title}</dt><dd>${value}</dd></div>`)}</dl>
  </section>`;
}
