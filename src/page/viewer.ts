/** One file, opened: played, shown or read. What a browser cannot show is offered for download. */
import type { VNode } from "preact";
import { useEffect, useState } from "preact/hooks";
import type { ListedFile } from "./answers.ts";
import { Dialog } from "./dialog.ts";
import { html } from "./html.ts";
import { Icon } from "./icons.ts";
import type { Page } from "./page.ts";
import { persist } from "./patience.ts";
import { filePath } from "./place.ts";
import { ask, beginningOf } from "./server.ts";
import { useWatched } from "./store.ts";
import { IconButton } from "./uploads-panel.ts";
import { baseName, bytesText, errorText } from "./words.ts";

const TEXT_BYTES_MAX = 256 * 1024;
const TEXT_TYPES = /^(text\/|application\/(json|xml|javascript|x-sh|yaml|toml|x-yaml|x-subrip|sql)\b|[\w.-]+\/[\w.-]+\+(json|xml)\b)/;

type Kind = "video" | "audio" | "image" | "pdf" | "text" | "other";
/** The browser does not say why it could not show a file: whether the server was away is asked, and then it tries once more. */
type Showing = "first" | "asking" | "again" | "refused";

export function Viewer({ page, fileId }: { readonly page: Page; readonly fileId: string }): VNode {
  useWatched(page.listing);
  const [file, setFile] = useState<ListedFile | undefined>(undefined);
  const [fault, setFault] = useState<string | undefined>(undefined);
  useEffect(() => {
    setFile(undefined);
    setFault(undefined);
    const stop = new AbortController();
    const look = () => ask<ListedFile>("GET", `/api/v1/files/${encodeURIComponent(fileId)}`, { signal: stop.signal });
    persist(look, { signal: stop.signal, onWaiting: setFault }).then(
      ({ value }) => setFile(value),
      (error: unknown) => stop.signal.aborted || setFault(errorText(error)),
    );
    return () => stop.abort();
  }, [fileId]);
  const close = (): void => page.show(undefined);
  const files = page.listing.rows.filter((row) => row.kind === "file");
  const index = files.findIndex((row) => row.fileId === fileId);
  const previous = index > 0 ? files[index - 1] : undefined;
  const next = index === -1 ? undefined : files[index + 1];
  const kind = file === undefined ? "other" : kindOf(file.contentType);
  const onKeyDown = (event: KeyboardEvent): void => {
    // A player seeks with arrows.
    if (kind === "video" || kind === "audio" || event.ctrlKey || event.altKey || event.metaKey) return;
    if (event.key === "ArrowLeft" && previous !== undefined) page.show(previous.fileId);
    if (event.key === "ArrowRight" && next !== undefined) page.show(next.fileId);
  };
  return html`<${Dialog} label=${file?.name ?? "File"} kind="viewer" onClose=${close}>
    <div class="viewed" onKeyDown=${onKeyDown}>
      <header>
        <h2 title=${file?.name}><bdi>${file === undefined ? "" : baseName(file.name)}</bdi></h2>
        ${file && html`<span class="hint">${bytesText(file.size)}</span>`}
        <div class="buttons">
          ${previous && html`<${IconButton} icon="left" label="Previous file" onClick=${() => page.show(previous.fileId)} />`}
          ${next && html`<${IconButton} icon="right" label="Next file" onClick=${() => page.show(next.fileId)} />`}
          ${
            file &&
            html`<${IconButton} icon="link" label="Copy link" onClick=${() => void page.copyLink(file)} />
              <a class="icon-button" href=${`${filePath(file)}?download`} download aria-label="Download" title="Download"><${Icon} name="download" /></a>`
          }
          <${IconButton} icon="close" label="Close" onClick=${close} />
        </div>
      </header>
      <div class=${`content ${kind}`}>
        ${fault && html`<p class="fault" role="alert">${fault}</p>`}
        ${file && html`<${Content} key=${fileId} file=${file} kind=${kind} />`}
      </div>
    </div>
  <//>`;
}

function Content({ file, kind }: { readonly file: ListedFile; readonly kind: Kind }): VNode {
  const [showing, setShowing] = useState<Showing>("first");
  const [reason, setReason] = useState<string | undefined>(undefined);
  const path = filePath(file);
  useEffect(() => {
    if (showing !== "asking") return undefined;
    const stop = new AbortController();
    persist(() => beginningOf(path, 1, stop.signal), { signal: stop.signal, onWaiting: setReason }).then(
      () => setShowing("again"),
      () => stop.signal.aborted || setShowing("refused"),
    );
    return () => stop.abort();
  }, [showing]);
  const onError = (): void => setShowing(showing === "first" ? "asking" : "refused");
  if (showing === "asking") return html`<p class="hint" role="status">${reason}</p>`;
  if (showing === "refused") {
    return html`<${Instead}
      file=${file}
      text=${kind === "image" ? "This browser cannot show this picture." : "This browser cannot play this file. A player such as VLC or mpv can: copy the link and open it there."}
    />`;
  }
  if (kind === "video")
    return html`<video src=${path} controls autoplay playsinline preload="metadata" autofocus aria-label=${file.name} onError=${onError}></video>`;
  if (kind === "audio")
    return html`<audio src=${path} controls autoplay preload="metadata" autofocus aria-label=${file.name} onError=${onError}></audio>`;
  if (kind === "image") return html`<img src=${path} alt=${file.name} onError=${onError} />`;
  if (kind === "pdf") return html`<iframe src=${path} title=${file.name}></iframe>`;
  if (kind === "text") return html`<${TextContent} file=${file} path=${path} />`;
  return html`<${Instead} file=${file} text="There is no preview for this kind of file." />`;
}

function TextContent({ file, path }: { readonly file: ListedFile; readonly path: string }): VNode {
  const [text, setText] = useState<string | undefined>(undefined);
  const [fault, setFault] = useState<string | undefined>(undefined);
  useEffect(() => {
    const stop = new AbortController();
    if (file.size === 0) setText("");
    else
      persist(() => beginningOf(path, TEXT_BYTES_MAX, stop.signal), { signal: stop.signal, onWaiting: setFault }).then(
        setText,
        (error: unknown) => stop.signal.aborted || setFault(errorText(error)),
      );
    return () => stop.abort();
  }, [path]);
  if (fault !== undefined) return html`<p class="fault" role="alert">${fault}</p>`;
  return html`<pre tabindex="0" aria-label=${file.name}>${text ?? ""}</pre>
    ${file.size === 0 && html`<p class="hint">This file is empty.</p>`}
    ${file.size > TEXT_BYTES_MAX && html`<p class="hint">This is the beginning: the first ${bytesText(TEXT_BYTES_MAX)} of ${bytesText(file.size)}.</p>`}`;
}

function Instead({ file, text }: { readonly file: ListedFile; readonly text: string }): VNode {
  return html`<div class="instead">
    <p>${text}</p>
    <a class="button primary" href=${`${filePath(file)}?download`} download><${Icon} name="download" />Download ${bytesText(file.size)}</a>
  </div>`;
}

function kindOf(contentType: string): Kind {
  const type = contentType.toLowerCase();
  if (type.startsWith("video/")) return "video";
  if (type.startsWith("audio/")) return "audio";
  if (type.startsWith("image/")) return "image";
  if (type.startsWith("application/pdf")) return "pdf";
  return TEXT_TYPES.test(type) ? "text" : "other";
}
