/** The frame of the inspector: where one can go, and what is looked at. */
import type { VNode } from "preact";
import { useEffect } from "preact/hooks";
import { Confirm } from "../confirm.ts";
import { html } from "../html.ts";
import { SignIn } from "../sign-in.ts";
import { useWatched } from "../store.ts";
import { ActorsView } from "./actors-view.ts";
import type { InspectPage, InspectQuestion } from "./inspect-page.ts";
import { type InspectPlace, inspectHashOf } from "./inspect-place.ts";
import { MachineView } from "./machine-view.ts";
import { SessionTable } from "./session-table.ts";
import { UploadView } from "./upload-view.ts";

interface Way {
  readonly place: InspectPlace;
  readonly title: string;
}

/** Back to the list as it was narrowed. */
const waysOf = ({ sessions }: InspectPage): readonly Way[] => [
  { place: { view: "uploads", filter: sessions.filter }, title: "Uploads" },
  { place: { view: "actors" }, title: "Actors" },
  { place: { view: "machine", name: "upload" }, title: "Machines" },
];

export function InspectApp({ page }: { readonly page: InspectPage }): VNode {
  const { account, place, watched, question } = page;
  useWatched(page, account);
  const ways = waysOf(page);
  useEffect(() => {
    const title = place.view === "upload" ? place.uploadId : ways.find((way) => isThere(way.place, place))?.title;
    document.title = `${title ?? "Inspect"} · Troupe`;
  }, [place]);
  return html`
    <header class="top inspector">
      <a class="mark" href="/">Troupe</a>
      <nav class="ways" aria-label="Inspect">
        ${ways.map((way) => html`<a key=${way.title} href=${inspectHashOf(way.place)} aria-current=${isThere(way.place, place) ? "page" : undefined}>${way.title}</a>`)}
      </nav>
      ${
        account.state === "in" &&
        account.hasTokens &&
        html`<p class="who"><span class="hint">${account.owner}</span>
          <button type="button" class="quiet" onClick=${() => void page.signOut()}>Sign out</button></p>`
      }
    </header>
    ${page.fault && html`<p class="nothing fault" role="alert">${page.fault}</p>`}
    ${account.state === "asking" && html`<p class="nothing" role="status">${account.waiting ?? ""}</p>`}
    ${account.state === "out" && html`<${SignIn} account=${account} />`}
    ${
      account.state === "in" &&
      html`<main class="inspector">
        ${place.view === "uploads" && html`<${SessionTable} page=${page} />`}
        ${place.view === "upload" && watched && html`<${UploadView} key=${place.uploadId} page=${page} watch=${watched} />`}
        ${place.view === "machine" && html`<${MachineView} key=${place.name} name=${place.name} />`}
        ${place.view === "actors" && html`<${ActorsView} actors=${page.actors} />`}
      </main>`
    }
    ${question && html`<${Question} page=${page} question=${question} />`}
  `;
}

function Question({ page, question }: { readonly page: InspectPage; readonly question: InspectQuestion }): VNode {
  const isCancel = question.kind === "cancel";
  return html`<${Confirm}
    title=${isCancel ? "Cancel this upload?" : "Ask for the merge?"}
    text=${question.text}
    no=${isCancel ? "Keep it" : "Not now"}
    yes=${isCancel ? "Cancel the upload" : "Merge it"}
    isHarmless=${!isCancel}
    work=${() => page.answer(question)}
    close=${() => page.ask(undefined)}
  />`;
}

const isThere = (way: InspectPlace, place: InspectPlace): boolean =>
  way.view === place.view || (way.view === "uploads" && place.view === "upload");
