/**
 * The list of uploads. Of however many there are, only the rows in sight are in the document.
 *
 * V1: rows are of one height, so that which are in sight is a division.
 * V2: a scroll draws once a frame.
 */
import type { VNode } from "preact";
import { useEffect, useLayoutEffect, useRef, useState } from "preact/hooks";
import { html } from "../html.ts";
import { Icon } from "../icons.ts";
import { useWatched } from "../store.ts";
import { bytesText, countText } from "../words.ts";
import type { ListedSession, SessionStatus } from "./inspect-answers.ts";
import type { InspectPage } from "./inspect-page.ts";
import { inspectHashOf, LISTED_STATES, type SessionFilter } from "./inspect-place.ts";
import { dayText, durationText } from "./inspect-words.ts";
import { SESSIONS_MAX, type SessionList } from "./session-list.ts";
import { StateMark } from "./state-mark.ts";

/** As the style sheet has it. */
const ROW_PIXELS = 56;
const BEYOND_ROWS = 6;
/** The next page is asked for when so many rows are left. */
const AHEAD_ROWS = 200;
const SEARCH_MS = 250;
const FILTER_TITLES: Readonly<Record<SessionFilter["state"], string>> = {
  "": "All",
  receiving: "Under way",
  merged: "Merged",
  failed: "Failed",
  cancelled: "Cancelled",
  expired: "Expired",
};

export function SessionTable({ page }: { readonly page: InspectPage }): VNode {
  const { sessions } = page;
  useWatched(sessions);
  const box = useRef<HTMLDivElement>(null);
  const [first, setFirst] = useState(0);
  const [heightPixels, setHeight] = useState(0);
  const [current, setCurrent] = useState(0);
  const { rows, filter, isLoading, isWhole, message } = sessions;
  useLayoutEffect(() => {
    const element = box.current;
    if (element === null) return;
    const measure = new ResizeObserver(() => setHeight(element.clientHeight));
    measure.observe(element);
    return () => measure.disconnect();
  }, []);
  useEffect(() => {
    if (box.current !== null) box.current.scrollTop = 0;
    setCurrent(0);
  }, [filter]);
  // V1
  const from = Math.max(0, Math.min(first, rows.length - 1) - BEYOND_ROWS);
  const until = Math.min(rows.length, first + Math.ceil(heightPixels / ROW_PIXELS) + BEYOND_ROWS);
  useEffect(() => {
    sessions.sees(first, until);
    if (heightPixels > 0 && until + AHEAD_ROWS > rows.length) void sessions.more();
  }, [first, until, rows]);
  // V2
  const isDue = useRef(false);
  const onScroll = (): void => {
    if (isDue.current) return;
    isDue.current = true;
    requestAnimationFrame(() => {
      isDue.current = false;
      if (box.current !== null) setFirst(Math.floor(box.current.scrollTop / ROW_PIXELS));
    });
  };
  const wanted = useRef<number | undefined>(undefined);
  const go = (index: number): void => {
    const next = Math.max(0, Math.min(rows.length - 1, index));
    const element = box.current;
    setCurrent(next);
    if (element === null) return;
    const top = next * ROW_PIXELS;
    if (top < element.scrollTop) element.scrollTop = top;
    else if (top + ROW_PIXELS > element.scrollTop + element.clientHeight) element.scrollTop = top + ROW_PIXELS - element.clientHeight;
    setFirst(Math.floor(element.scrollTop / ROW_PIXELS));
    wanted.current = next;
    focusWanted();
  };
  const focusWanted = (): void => {
    const row = wanted.current === undefined ? null : box.current?.querySelector<HTMLElement>(`[data-index="${wanted.current}"]`);
    if (row === null || row === undefined) return;
    wanted.current = undefined;
    row.focus({ preventScroll: true });
  };
  // A row that was out of sight is there once it has been drawn.
  useLayoutEffect(focusWanted);
  const pageRows = Math.max(1, Math.floor(heightPixels / ROW_PIXELS) - 1);
  const onKeyDown = (event: KeyboardEvent): void => {
    const steps: Readonly<Record<string, number>> = {
      ArrowDown: 1,
      ArrowUp: -1,
      PageDown: pageRows,
      PageUp: -pageRows,
      Home: -rows.length,
      End: rows.length,
    };
    const step = steps[event.key];
    if (step === undefined || event.ctrlKey || event.altKey || event.metaKey) return;
    event.preventDefault();
    go(current + step);
  };
  return html`
    <h1 class="unseen">Uploads</h1>
    <${Filters} page=${page} />
    <section class="card sessions">
      <div ref=${box} class="rows" role="list" aria-label="Uploads" aria-busy=${isLoading} onScroll=${onScroll} onKeyDown=${onKeyDown}>
        <div class="before" role="presentation" style=${{ height: `${from * ROW_PIXELS}px` }}></div>
        ${rows.slice(from, until).map((row, offset) => {
          const index = from + offset;
          return html`<${SessionRow}
            key=${row.uploadId}
            row=${row}
            live=${sessions.live.get(row.uploadId)}
            index=${index}
            count=${isWhole ? rows.length : -1}
            isCurrent=${index === Math.max(from, Math.min(until - 1, current))}
            onFocus=${() => setCurrent(index)}
          />`;
        })}
        <div class="after" role="presentation" style=${{ height: `${Math.max(0, rows.length - until) * ROW_PIXELS}px` }}></div>
        ${rows.length === 0 && html`<p class="nothing" role="status">${message ?? (isLoading || !isWhole ? "Looking…" : nothingText(sessions))}</p>`}
      </div>
    </section>
    <p class="hint count" role="status">
      ${rows.length > 0 && `${countText(rows.length, "upload")}${isWhole ? "" : " so far: more come as you scroll"}`}
      ${rows.length >= SESSIONS_MAX && ". No more are listed: search for others."}
      ${rows.length > 0 && message !== undefined && ` · ${message}`}
    </p>
  `;
}

const nothingText = ({ filter }: SessionList): string =>
  filter.search !== "" || filter.state !== "" ? "No upload is like this." : "There are no uploads yet.";

function Filters({ page }: { readonly page: InspectPage }): VNode {
  const { filter } = page.sessions;
  const [text, setText] = useState(filter.search);
  const typed = useRef(filter.search);
  useEffect(() => {
    const search = text.trim();
    if (search === typed.current) return;
    const timer = setTimeout(() => {
      typed.current = search;
      page.choose({ ...page.sessions.filter, search });
    }, SEARCH_MS);
    return () => clearTimeout(timer);
  }, [text]);
  // The address was changed by somebody else than the one who types.
  useEffect(() => {
    if (filter.search === typed.current) return;
    typed.current = filter.search;
    setText(filter.search);
  }, [filter]);
  return html`<div class="filters">
    <fieldset class="segments">
      <legend class="unseen">State</legend>
      ${(["", ...LISTED_STATES] as const).map(
        (state) => html`<label key=${state}>
          <input type="radio" name="state" aria-label=${FILTER_TITLES[state]} value=${state} checked=${filter.state === state} onChange=${() => page.choose({ ...filter, state })} />
          <span>${FILTER_TITLES[state]}</span>
        </label>`,
      )}
    </fieldset>
    <div class="search" role="search">
      <${Icon} name="search" />
      <input
        type="search"
        placeholder="Name or ID"
        aria-label="Search uploads by a part of the name or by the ID"
        value=${text}
        onInput=${(event: InputEvent) => setText((event.target as HTMLInputElement).value)}
        onKeyDown=${(event: KeyboardEvent) => event.key === "Escape" && setText("")}
      />
    </div>
  </div>`;
}

/** Nothing has come for longer than a client takes to think. */
const QUIET_MS = 60_000;

interface RowProps {
  readonly row: ListedSession;
  /** What it is in at this moment, where that was asked. */
  readonly live: SessionStatus | undefined;
  readonly index: number;
  /** -1: not known. */
  readonly count: number;
  readonly isCurrent: boolean;
  readonly onFocus: () => void;
}

function SessionRow({ row, live, index, count, isCurrent, onFocus }: RowProps): VNode {
  const { uploadId, name, size, created } = row;
  const state = live?.state ?? row.state;
  const error = live?.lastError ?? row.lastError;
  const share = live?.receivedBytes !== undefined && size !== undefined && size > 0 ? live.receivedBytes / size : undefined;
  const percent = share === undefined || state === "merged" ? "" : `${Math.floor(share * 100)} %`;
  const quietMs = live?.lastActivity === undefined || (live.inFlightCount ?? 0) > 0 ? 0 : Date.now() - Date.parse(live.lastActivity);
  const said = error?.code ?? (quietMs < QUIET_MS ? percent : `${percent} · quiet ${durationText(quietMs)}`);
  return html`<div class="session" role="listitem" aria-posinset=${index + 1} aria-setsize=${count}>
    <a href=${inspectHashOf({ view: "upload", uploadId })} data-index=${index} tabindex=${isCurrent ? 0 : -1} onFocus=${onFocus}>
      <${StateMark} state=${state} />
      <span class="name" title=${name}><bdi>${name}</bdi></span>
      <span class="said">${said}</span>
      <span class="size">${size === undefined ? "size not known" : bytesText(size)}</span>
      <time datetime=${created} title=${new Date(created).toLocaleString()}>${dayText(created)}</time>
    </a>
  </div>`;
}
