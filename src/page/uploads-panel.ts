/** What is on its way, what waits, and what was left unfinished. */
import type { VNode } from "preact";
import { useState } from "preact/hooks";
import { html } from "./html.ts";
import { Icon, type IconName } from "./icons.ts";
import type { Page } from "./page.ts";
import { useWatched } from "./store.ts";
import type { Transfer, TransferState } from "./transfer.ts";
import type { Transfers } from "./transfers.ts";
import type { Unfinished } from "./unfinished.ts";
import { baseName, bytesText, countText, timeLeftText } from "./words.ts";

/** Rows drawn, and while they are folded: the files below stay in sight. The rest is told as a number. */
const ROWS_MAX = 60;
const FOLDED_MAX = 5;
const FOLDED_DONE_MAX = 3;
const UNFINISHED_MAX = 20;
/** What one looks at first. */
const ORDER: readonly TransferState[] = ["finishing", "sending", "starting", "failed", "paused", "queued", "done", "cancelled"];

export function UploadsPanel({ page }: { readonly page: Page }): VNode | null {
  const { transfers } = page;
  useWatched(transfers);
  const [isUnfolded, setUnfolded] = useState(false);
  const { list } = transfers;
  if (list.length === 0) return null;
  const byState = Map.groupBy(list, ({ state }) => state);
  const open = ORDER.filter((state) => state !== "done").flatMap((state) => byState.get(state) ?? []);
  const done = byState.get("done") ?? [];
  const openShown = open.slice(0, isUnfolded ? ROWS_MAX : FOLDED_MAX);
  const doneMax = isUnfolded ? done.length : Math.min(FOLDED_DONE_MAX, FOLDED_MAX - openShown.length);
  const doneShown = done.slice(Math.max(0, done.length - doneMax));
  const isFolded = openShown.length < open.length || doneShown.length < done.length;
  const canPause = list.some(({ isActive, state }) => isActive || state === "queued");
  const canResume = !canPause && list.some(({ state }) => state === "paused");
  return html`<section class="card uploads" aria-labelledby="uploads-title">
    <header>
      <h2 id="uploads-title">${headline(transfers)}</h2>
      <p class="hint">${summary(list)}</p>
      <div class="buttons">
        ${list.length > 1 && canPause && html`<button type="button" class="quiet" onClick=${() => transfers.pauseAll()}>Pause all</button>`}
        ${list.length > 1 && canResume && html`<button type="button" class="quiet" onClick=${() => transfers.resumeAll()}>Go on with all</button>`}
        ${
          list.some(({ state }) => state === "done") &&
          html`<button type="button" class="quiet" onClick=${() => transfers.clearDone()}>Clear finished</button>`
        }
      </div>
    </header>
    <ul>
      ${[...openShown, ...doneShown].map((transfer) => html`<${TransferRow} key=${transfer.id} page=${page} transfer=${transfer} />`)}
    </ul>
    ${
      (isFolded || isUnfolded) &&
      html`<div class="more">
        <p class="hint">${restText(open.length - openShown.length, transfers.uploadedCount + transfers.thereCount - doneShown.length)}</p>
        <button type="button" class="quiet" aria-expanded=${isUnfolded} onClick=${() => setUnfolded(!isUnfolded)}>
          ${isUnfolded ? "Show fewer" : "Show more"}
        </button>
      </div>`
    }
  </section>`;
}

function TransferRow({ page, transfer }: { readonly page: Page; readonly transfer: Transfer }): VNode {
  const { name, file, state, sentBytes, message, result } = transfer;
  const percent = file.size === 0 ? (state === "done" ? 100 : 0) : Math.floor((sentBytes / file.size) * 100);
  const isStuck = state === "failed" || (message !== undefined && state !== "done");
  const label = baseName(name);
  const folder = name.slice(0, name.length - label.length);
  return html`<li class=${`transfer ${state} ${isStuck ? "stuck" : ""}`} data-state=${state}>
    <div class="what">
      <span class="name" title=${name}><bdi>${label}</bdi>${folder !== "" && html` <span class="hint">in <bdi>${folder}</bdi></span>`}</span>
      <span class="said">${said(transfer, percent)}</span>
    </div>
    <div class="buttons">
      ${transfer.uploadId !== undefined && state !== "done" && html`<${InspectLink} uploadId=${transfer.uploadId} label=${label} isStuck=${isStuck} />`}
      ${transfer.isActive && html`<${IconButton} icon="pause" label=${`Pause ${label}`} onClick=${() => transfer.pause()} />`}
      ${state === "paused" && html`<${IconButton} icon="play" label=${`Go on with ${label}`} onClick=${() => page.transfers.resume(transfer)} />`}
      ${state === "failed" && html`<${IconButton} icon="again" label=${`Try ${label} again`} onClick=${() => page.transfers.resume(transfer)} />`}
      ${
        state === "done" &&
        result !== undefined &&
        html`<button type="button" class="quiet" onClick=${() => page.show(result.fileId)}>Open<span class="unseen"> ${label}</span></button>`
      }
      ${!transfer.isOver && html`<${IconButton} icon="close" label=${`Cancel ${label}`} onClick=${() => page.cancelTransfer(transfer)} />`}
    </div>
    ${
      state !== "done" &&
      html`<div
        class="bar"
        role="progressbar"
        aria-label=${label}
        aria-valuemin="0"
        aria-valuemax="100"
        aria-valuenow=${percent}
      ><div style=${{ width: `${percent}%` }}></div></div>`
    }
  </li>`;
}

/** Elsewhere: this page goes on with what it is sending. */
function InspectLink(props: { readonly uploadId: string; readonly label: string; readonly isStuck: boolean }): VNode {
  const { uploadId, label, isStuck } = props;
  const word = isStuck ? "Why?" : "Inspect";
  const address = `/inspect#/uploads/${uploadId}`;
  return html`<a class="inspect-link" href=${address} target="_blank" rel="noopener" aria-label=${`${word} ${label}, in another window`}>${word}</a>`;
}

export function IconButton(props: { readonly icon: IconName; readonly label: string; readonly onClick: () => void }): VNode {
  const { icon, label, onClick } = props;
  return html`<button type="button" class="icon-button" aria-label=${label} title=${label} onClick=${onClick}><${Icon} name=${icon} /></button>`;
}

function said(transfer: Transfer, percent: number): string {
  const { state, file, sentBytes, message, isInstant, isThere, rate, secondsLeft } = transfer;
  const amount = `${bytesText(sentBytes)} of ${bytesText(file.size)}`;
  if (state === "failed") return message ?? "";
  if (message !== undefined) return sentBytes > 0 ? `${message} ${percent} % is there.` : message;
  if (state === "queued") return `${bytesText(file.size)} · waiting its turn`;
  if (state === "starting") return `${bytesText(file.size)} · starting`;
  if (state === "paused") return `${amount} · paused`;
  if (state === "finishing") return `${bytesText(file.size)} · all sent, the server is checking it`;
  if (state === "done" && isThere) return `${bytesText(file.size)} · was there already, nothing was stored again`;
  if (state === "done" && isInstant) return `${bytesText(file.size)} · was there already, nothing had to be sent`;
  if (state === "done") return `${bytesText(file.size)} · stored and checked`;
  const speed = rate.bytesPerSecond;
  if (speed === undefined || secondsLeft === undefined) return amount;
  return `${amount} · ${bytesText(speed)}/s · ${timeLeftText(secondsLeft)}`;
}

/** What has no row. */
function restText(openCount: number, doneCount: number): string {
  const open = openCount > 0 ? [`${countText(openCount, "more file")} to upload`] : [];
  const done = doneCount > 0 ? [`${countText(doneCount, "more file")} finished`] : [];
  return [...open, ...done].join(" · ");
}

function headline({ list, uploadedCount, thereCount }: Transfers): string {
  const open = list.filter(({ isOver }) => !isOver);
  if (open.length === 0) {
    const there = thereCount > 0 ? [`${countText(thereCount, "file was", "files were")} there already`] : [];
    const uploaded = uploadedCount > 0 ? [`${countText(uploadedCount, "file")} uploaded`] : [];
    return [...uploaded, ...there].join(", ");
  }
  if (open.every(({ state }) => state === "failed")) return `${countText(open.length, "upload")} could not be finished`;
  if (open.every(({ state }) => state === "paused" || state === "failed")) return `${countText(open.length, "upload")} paused`;
  return `Uploading ${countText(open.length, "file")}`;
}

function summary(list: readonly Transfer[]): string {
  const active = list.filter(({ isActive }) => isActive);
  if (active.length === 0 || list.length === 1) return "";
  const speed = active.reduce((sum, { rate }) => sum + (rate.bytesPerSecond ?? 0), 0);
  const left = list.reduce((sum, { isOver, file, sentBytes }) => sum + (isOver ? 0 : file.size - sentBytes), 0);
  return speed < 1 ? `${bytesText(left)} to go` : `${bytesText(left)} to go · ${bytesText(speed)}/s · ${timeLeftText(left / speed)}`;
}

export function UnfinishedPanel({ page }: { readonly page: Page }): VNode | null {
  const { unfinished, transfers } = page;
  useWatched(unfinished, transfers);
  const here = new Set(transfers.list.flatMap(({ uploadId }) => uploadId ?? []));
  // A small file does not know its upload's ID before it is stored.
  const paused = new Set(transfers.list.filter(({ state }) => state === "paused" || state === "failed").map(keyOf));
  const list = unfinished.list.filter((upload) => !here.has(upload.uploadId) && !paused.has(keyOf(upload)));
  if (list.length === 0) return null;
  return html`<section class="card unfinished" aria-labelledby="unfinished-title">
    <header>
      <h2 id="unfinished-title">${countText(list.length, "unfinished upload")}</h2>
      <p class="hint">
        The server has kept what arrived. A browser does not keep your files: drop ${list.length === 1 ? "the same file" : "the same files"} here
        again, and only what is missing is sent. (Another window or program may be sending one of these right now.)
      </p>
    </header>
    <ul>
      ${list.slice(0, UNFINISHED_MAX).map((upload) => html`<${UnfinishedRow} key=${upload.uploadId} page=${page} upload=${upload} />`)}
    </ul>
    ${list.length > UNFINISHED_MAX && html`<p class="hint more">and ${countText(list.length - UNFINISHED_MAX, "more")}</p>`}
  </section>`;
}

const keyOf = ({ user, name }: { readonly user: string; readonly name: string }): string => `${user}/${name}`;

function UnfinishedRow({ page, upload }: { readonly page: Page; readonly upload: Unfinished }): VNode {
  const { name, size = 0, receivedBytes, isWhole } = upload;
  const there = receivedBytes === undefined ? bytesText(size) : `${bytesText(receivedBytes)} of ${bytesText(size)} is there`;
  return html`<li class="transfer">
    <div class="what">
      <span class="name" title=${name}><bdi>${name}</bdi></span>
      <span class="said">${there}</span>
    </div>
    <div class="buttons">
      <${InspectLink} uploadId=${upload.uploadId} label=${name} isStuck=${true} />
      ${isWhole === true && html`<button type="button" class="quiet" onClick=${() => void page.finish(upload)}>Finish<span class="unseen"> ${name}</span></button>`}
      <${IconButton} icon="close" label=${`Cancel ${name}`} onClick=${() => page.cancelUnfinished(upload)} />
    </div>
  </li>`;
}
