/** The messages that were sent for an upload, between the actors that sent them. */
import type { VNode } from "preact";
import type { Sequence } from "../../inspector/sequence.ts";
import { NARROW_SPACING, paintSequence, WIDE_SPACING } from "../../inspector/sequence-paint.ts";
import { html } from "../html.ts";
import { countText } from "../words.ts";
import { durationText } from "./inspect-words.ts";
import { painted } from "./painted.ts";

interface SequenceProps {
  readonly sequence: Sequence | undefined;
  readonly message: string | undefined;
}

export function SequenceView({ sequence, message }: SequenceProps): VNode {
  const isNarrow = matchMedia("(max-width: 44rem)").matches;
  const isEmpty = sequence === undefined || sequence.blocks.length === 0;
  return html`<section class="card sequence-card" aria-labelledby="sequence-title">
    <header>
      <h2 id="sequence-title">Messages</h2>
      <p class="hint">Who asked whom for it, request by request. What repeats is one block with a count.</p>
    </header>
    ${
      isEmpty
        ? html`<p class="nothing" role="status">${message ?? (sequence === undefined ? "Looking…" : "No messages are known.")}</p>`
        : html`<div class="sequence-box" tabindex="0" role="group" aria-label="Messages between actors">${painted(paintSequence(sequence, durationText, isNarrow ? NARROW_SPACING : WIDE_SPACING))}</div>`
    }
    ${sequence !== undefined && sequence.leftOutCount > 0 && html`<p class="hint more">${countText(sequence.leftOutCount, "more message")} are not drawn.</p>`}
  </section>`;
}
