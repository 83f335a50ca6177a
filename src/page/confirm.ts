/** A question to which yes does something, and no does nothing. */
import type { VNode } from "preact";
import { useState } from "preact/hooks";
import { Dialog } from "./dialog.ts";
import { html } from "./html.ts";
import { errorText } from "./words.ts";

interface ConfirmProps {
  readonly title: string;
  readonly text: string;
  readonly no: string;
  readonly yes: string;
  /** Nothing is lost by it. */
  readonly isHarmless?: boolean;
  readonly work: () => Promise<void>;
  readonly close: () => void;
}

export function Confirm({ title, text, no, yes, isHarmless, work, close }: ConfirmProps): VNode {
  const { isBusy, fault, run } = useWork(work, close);
  return html`<${Dialog} label=${title} kind="question" onClose=${close}>
    <h2>${title}</h2>
    <p>${text}</p>
    ${fault && html`<p class="fault" role="alert">${fault}</p>`}
    <div class="buttons">
      <button type="button" autofocus onClick=${close}>${no}</button>
      <button type="button" class=${isHarmless === true ? "primary" : "dangerous"} disabled=${isBusy} onClick=${run}>${yes}</button>
    </div>
  <//>`;
}

/** Work that a button begins, once; it closes the question when it is done and says why when it is not. */
export function useWork(work: () => Promise<void>, close: () => void) {
  const [isBusy, setBusy] = useState(false);
  const [fault, setFault] = useState<string | undefined>(undefined);
  const run = (): void => {
    setBusy(true);
    setFault(undefined);
    work().then(close, (error: unknown) => {
      setBusy(false);
      setFault(errorText(error));
    });
  };
  return { isBusy, fault, run };
}
