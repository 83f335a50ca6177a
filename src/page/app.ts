/** The whole page: what stands on it, and what the window tells it. */
import type { VNode } from "preact";
import { useEffect, useLayoutEffect, useRef, useState } from "preact/hooks";
import { chosenFiles, droppedFiles } from "./dropped.ts";
import { FileTable } from "./file-table.ts";
import { html } from "./html.ts";
import { Icon } from "./icons.ts";
import type { Page } from "./page.ts";
import { hashOf } from "./place.ts";
import { QuestionDialog } from "./questions.ts";
import { SignIn } from "./sign-in.ts";
import { useWatched } from "./store.ts";
import { FILES_MAX } from "./transfers.ts";
import { IconButton, UnfinishedPanel, UploadsPanel } from "./uploads-panel.ts";
import { Viewer } from "./viewer.ts";
import { bytesText } from "./words.ts";

const SEARCH_MS = 250;

export function App({ page }: { readonly page: Page }): VNode {
  const { account } = page;
  useWatched(page, account);
  const isIn = account.state === "in";
  const isDragged = useDrop(page);
  useLeaving(page);
  return html`
    <${Header} page=${page} />
    ${account.state === "asking" && html`<p class="nothing" role="status">${account.waiting ?? ""}</p>`}
    ${account.state === "out" && html`<${SignIn} account=${account} />`}
    ${account.state === "out" && html`<div class="aside"><${UploadsPanel} page=${page} /></div>`}
    ${
      isIn &&
      html`<main>
        <${Drop} page=${page} />
        <${UploadsPanel} page=${page} />
        <${UnfinishedPanel} page=${page} />
        <${Bar} page=${page} />
        <${FileTable} page=${page} />
      </main>`
    }
    ${isIn && page.place.show !== undefined && html`<${Viewer} page=${page} fileId=${page.place.show} />`}
    ${page.question && html`<${QuestionDialog} key=${page.question.kind} page=${page} question=${page.question} />`}
    ${isIn && isDragged && html`<div class="drop-here" aria-hidden="true"><div><${Icon} name="upload" />Drop to upload${page.place.folder === "" ? "" : ` into ${page.place.folder}`}</div></div>`}
    <${Notice} page=${page} />
  `;
}

function Header({ page }: { readonly page: Page }): VNode {
  const { account } = page;
  return html`<header class="top">
    <a class="mark" href=${hashOf({ user: page.place.user || "default", folder: "" })}>Troupe</a>
    ${account.state === "in" && html`<p class="space" role="status">${spaceText(page)}</p>`}
    ${account.state === "in" && html`<a class="hint" href="/inspect" title="What every upload is doing, and why it waits">Inspect</a>`}
    ${
      account.state === "in" &&
      account.hasTokens &&
      html`<p class="who"><span class="hint">${account.owner}</span>
        <button type="button" class="quiet" onClick=${() => account.signOut().catch(() => page.fault("The server does not answer: you are still signed in."))}>Sign out</button></p>`
    }
  </header>`;
}

function spaceText({ cluster }: Page): string {
  if (cluster === undefined) return "";
  if (!cluster.groups.some(({ activeCount }) => activeCount > 0)) return "No storage node is up: nothing can be stored at the moment.";
  const free = cluster.groups.reduce((sum, { freeBytes }) => sum + freeBytes, 0);
  const copies = Math.min(...cluster.groups.map((group) => group.copies ?? 1));
  return `${bytesText(free)} free · ${copies === 1 ? "one copy of each file" : `${copies} copies of each file`}`;
}

function Drop({ page }: { readonly page: Page }): VNode {
  const { listing, transfers, unfinished } = page;
  useWatched(listing, transfers, unfinished);
  const files = useRef<HTMLInputElement>(null);
  const folder = useRef<HTMLInputElement>(null);
  const isEmpty =
    listing.rows.length === 0 && listing.search === "" && listing.place.folder === "" && transfers.list.length === 0 && !listing.isLoading;
  const take = (event: Event): void => {
    const input = event.target as HTMLInputElement;
    if (input.files !== null) void page.upload(chosenFiles(input.files));
    // The same file may be chosen again.
    input.value = "";
  };
  return html`<section class=${`drop ${isEmpty ? "large" : ""}`} aria-label="Upload">
    <p><${Icon} name="upload" /><span>${isEmpty ? "Nothing here yet. Drop files or a folder anywhere on this page." : "Drop files or a folder anywhere on this page."}</span></p>
    <div class="buttons">
      <button type="button" class="primary" onClick=${() => files.current?.click()}>Choose files</button>
      ${"webkitdirectory" in HTMLInputElement.prototype && html`<button type="button" onClick=${() => folder.current?.click()}>Choose a folder</button>`}
    </div>
    <input ref=${files} type="file" multiple hidden aria-label="Files" onChange=${take} />
    <input ref=${folder} type="file" webkitdirectory hidden aria-label="Folder" onChange=${take} />
  </section>`;
}

function Bar({ page }: { readonly page: Page }): VNode | null {
  const { listing } = page;
  useWatched(listing);
  const { user, folder } = listing.place;
  const [text, setText] = useState(listing.search);
  useEffect(() => setText(listing.search), [user, folder]);
  useEffect(() => {
    if (text.trim() === listing.search) return;
    const timer = setTimeout(() => page.search(text.trim()), SEARCH_MS);
    return () => clearTimeout(timer);
  }, [text]);
  if (listing.rows.length === 0 && listing.search === "" && folder === "" && page.users.length < 2) return null;
  const parts = folder.split("/").filter((part) => part !== "");
  return html`<div class="bar-row">
    <nav aria-label="Folders">
      <ol>
        <li>${page.users.length > 1 ? html`<${Users} page=${page} />` : html`<a href=${hashOf({ user, folder: "" })}>All files</a>`}</li>
        ${parts.map((part, index) => {
          const path = `${parts.slice(0, index + 1).join("/")}/`;
          const isLast = index === parts.length - 1;
          return html`<li key=${path}><a href=${hashOf({ user, folder: path })} aria-current=${isLast ? "page" : undefined}><bdi>${part}</bdi></a></li>`;
        })}
      </ol>
    </nav>
    <div class="search" role="search">
      <${Icon} name="search" />
      <input
        type="search"
        id="search"
        placeholder=${folder === "" ? "Search all files" : "Search this folder"}
        aria-label=${folder === "" ? "Search all files" : "Search this folder and those in it"}
        value=${text}
        onInput=${(event: InputEvent) => setText((event.target as HTMLInputElement).value)}
        onKeyDown=${(event: KeyboardEvent) => event.key === "Escape" && setText("")}
      />
    </div>
  </div>`;
}

/** Files belong to a user's name at this server; here one chooses whose are shown. */
function Users({ page }: { readonly page: Page }): VNode {
  const { user } = page.place;
  const names = page.users.includes(user) ? page.users : [user, ...page.users];
  return html`<select
    aria-label="Whose files"
    value=${user}
    onChange=${(event: Event) => page.go({ user: (event.target as HTMLSelectElement).value, folder: "" })}
  >
    ${names.map((name) => html`<option key=${name} value=${name} selected=${name === user}>${name}</option>`)}
  </select>`;
}

function Notice({ page }: { readonly page: Page }): VNode {
  const { notice } = page;
  return html`<div class="notices" role="status" aria-live="polite">
    ${
      notice &&
      html`<div class=${`notice ${notice.isFault ? "fault" : ""}`}>
        ${notice.isFault && html`<${Icon} name="warning" />`}<span>${notice.text}</span>
        <${IconButton} icon="close" label="Close this message" onClick=${() => page.closeNotice()} />
      </div>`
    }
  </div>`;
}

/** Files may be dropped anywhere; whether some are over the page now. */
function useDrop(page: Page): boolean {
  const [depth, setDepth] = useState(0);
  // Before anything is seen of the page: what nobody listens for, a browser opens instead of it.
  useLayoutEffect(() => {
    const hasFiles = (event: DragEvent): boolean => event.dataTransfer?.types.includes("Files") === true;
    const on = (change: (depth: number) => number) => (event: DragEvent) => {
      if (!hasFiles(event)) return;
      event.preventDefault();
      setDepth(change);
    };
    const listeners = {
      dragenter: on((now) => now + 1),
      dragleave: on((now) => Math.max(0, now - 1)),
      dragover: on((now) => now),
      drop: (event: DragEvent) => {
        setDepth(0);
        if (!hasFiles(event) || event.dataTransfer === null) return;
        event.preventDefault();
        void droppedFiles(event.dataTransfer, FILES_MAX).then((gathered) => page.uploadDropped(gathered));
      },
      paste: (event: ClipboardEvent) => {
        if ((event.clipboardData?.files.length ?? 0) > 0) void page.upload(chosenFiles((event.clipboardData as DataTransfer).files));
      },
    };
    for (const [name, listener] of Object.entries(listeners)) window.addEventListener(name, listener as EventListener);
    return () => {
      for (const [name, listener] of Object.entries(listeners)) window.removeEventListener(name, listener as EventListener);
    };
  }, []);
  return depth > 0;
}

/** Leaving while something is on its way is asked about; the title says how far it is; a slash goes to the search. */
function useLeaving(page: Page): void {
  const { transfers } = page;
  useWatched(transfers);
  useEffect(() => {
    const ask = (event: BeforeUnloadEvent): void => {
      if (transfers.isBusy) event.preventDefault();
    };
    const onKeyDown = (event: KeyboardEvent): void => {
      const isTyping = event.target instanceof HTMLInputElement || document.querySelector("dialog[open]") !== null;
      const search = document.getElementById("search");
      if (event.key !== "/" || isTyping || search === null) return;
      event.preventDefault();
      search.focus();
    };
    window.addEventListener("beforeunload", ask);
    window.addEventListener("keydown", onKeyDown);
    return () => {
      window.removeEventListener("beforeunload", ask);
      window.removeEventListener("keydown", onKeyDown);
    };
  }, []);
  const open = transfers.list.filter(({ isOver }) => !isOver);
  const total = open.reduce((sum, { file }) => sum + file.size, 0);
  const sent = open.reduce((sum, { sentBytes }) => sum + sentBytes, 0);
  document.title = open.length === 0 ? "Troupe" : `${total === 0 ? 0 : Math.floor((sent / total) * 100)} % · Troupe`;
}
