/** A question or a file before the rest of the page. The browser's own element keeps the focus inside, and Escape closes it. */
import type { ComponentChildren, VNode } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import { html } from "./html.ts";

export interface DialogProps {
  readonly label: string;
  readonly kind: string;
  readonly onClose: () => void;
  readonly children?: ComponentChildren;
}

export function Dialog({ label, kind, onClose, children }: DialogProps): VNode {
  const element = useRef<HTMLDialogElement>(null);
  // While it is drawn for the first time: an effect runs later, when the focus may be elsewhere.
  const [before] = useState(() => document.activeElement);
  useEffect(() => {
    element.current?.showModal();
    // The element goes away without being closed, so nobody else gives the focus back.
    return () => {
      if (before instanceof HTMLElement && before.isConnected) before.focus();
    };
  }, []);
  const onCancel = (event: Event): void => {
    event.preventDefault();
    onClose();
  };
  // The backdrop is the dialog itself, outside of the box within.
  const onClick = (event: Event): void => {
    if (event.target === element.current) onClose();
  };
  return html`<dialog ref=${element} class=${kind} aria-label=${label} onCancel=${onCancel} onClick=${onClick}>
    <div class="box">${children}</div>
  </dialog>`;
}
