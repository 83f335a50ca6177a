/** Rename, delete, cancel, a link to copy by hand, and what one can do with a file on a narrow screen. */
import type { VNode } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import type { ListedFile } from "./answers.ts";
import { Confirm, useWork } from "./confirm.ts";
import { Dialog } from "./dialog.ts";
import { html } from "./html.ts";
import { Icon } from "./icons.ts";
import type { Page, Question } from "./page.ts";
import { filePath } from "./place.ts";
import { baseName, bytesText } from "./words.ts";

export function QuestionDialog({ page, question }: { readonly page: Page; readonly question: Question }): VNode {
  const close = (): void => page.ask(undefined);
  if (question.kind === "rename") return html`<${Rename} page=${page} file=${question.file} close=${close} />`;
  if (question.kind === "actions") return html`<${Actions} page=${page} file=${question.file} close=${close} />`;
  if (question.kind === "link") return html`<${Link} url=${question.url} close=${close} />`;
  if (question.kind === "cancel") {
    const sent =
      question.sentBytes > 0 ? ` ${bytesText(question.sentBytes)} of it are at the server already and would be thrown away.` : "";
    return html`<${Confirm}
      title="Cancel this upload?"
      text=${`“${question.name}” is not finished.${sent}`}
      no="Keep it"
      yes="Cancel the upload"
      work=${question.cancel}
      close=${close}
    />`;
  }
  return html`<${Confirm}
    title="Delete this file?"
    text=${`“${question.file.name}” (${bytesText(question.file.size)}) will be deleted for everybody. This cannot be undone.`}
    no="Keep it"
    yes="Delete"
    work=${() => page.delete(question.file)}
    close=${close}
  />`;
}

function Rename({ page, file, close }: { readonly page: Page; readonly file: ListedFile; readonly close: () => void }): VNode {
  const [name, setName] = useState(file.name);
  const input = useRef<HTMLInputElement>(null);
  const { isBusy, fault, run } = useWork(() => page.rename(file, name), close);
  useEffect(() => {
    // The part one usually changes: without its folders and its ending.
    const from = file.name.length - baseName(file.name).length;
    const dot = file.name.lastIndexOf(".");
    input.current?.setSelectionRange(from, dot > from ? dot : file.name.length);
  }, []);
  const submit = (event: Event): void => {
    event.preventDefault();
    if (name === file.name) close();
    else run();
  };
  return html`<${Dialog} label="Rename" kind="question" onClose=${close}>
    <form onSubmit=${submit}>
      <h2><label for="new-name">New name</label></h2>
      <input
        id="new-name"
        ref=${input}
        autofocus
        autocomplete="off"
        spellcheck="false"
        value=${name}
        onInput=${(event: InputEvent) => setName((event.target as HTMLInputElement).value)}
      />
      <p class="hint">A slash makes a folder: holiday/beach.mp4</p>
      ${fault && html`<p class="fault" role="alert">${fault}</p>`}
      <div class="buttons">
        <button type="button" onClick=${close}>Keep the old name</button>
        <button type="submit" class="primary" disabled=${isBusy || name === ""}>Rename</button>
      </div>
    </form>
  <//>`;
}

function Actions({ page, file, close }: { readonly page: Page; readonly file: ListedFile; readonly close: () => void }): VNode {
  const then = (work: () => void) => () => {
    close();
    work();
  };
  return html`<${Dialog} label=${`What to do with ${file.name}`} kind="question sheet" onClose=${close}>
    <h2>${baseName(file.name)}</h2>
    <p class="hint">${bytesText(file.size)}</p>
    <ul class="actions">
      <li><button type="button" autofocus onClick=${then(() => page.show(file.fileId))}><${Icon} name="play" />Open</button></li>
      <li><button type="button" onClick=${then(() => void page.copyLink(file))}><${Icon} name="link" />Copy link</button></li>
      <li><a class="button" href=${`${filePath(file)}?download`} download onClick=${close}><${Icon} name="download" />Download</a></li>
      <li><button type="button" onClick=${() => page.ask({ kind: "rename", file })}><${Icon} name="rename" />Rename</button></li>
      <li><button type="button" onClick=${() => page.ask({ kind: "delete", file })}><${Icon} name="delete" />Delete</button></li>
    </ul>
  <//>`;
}

function Link({ url, close }: { readonly url: string; readonly close: () => void }): VNode {
  return html`<${Dialog} label="Link" kind="question" onClose=${close}>
    <h2><label for="link">This browser does not let a page copy. Copy it from here:</label></h2>
    <input id="link" readonly autofocus value=${url} onFocus=${(event: FocusEvent) => (event.target as HTMLInputElement).select()} />
    <div class="buttons"><button type="button" onClick=${close}>Close</button></div>
  <//>`;
}
