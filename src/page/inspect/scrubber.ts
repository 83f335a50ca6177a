/** Goes through the steps of a machine: by hand, with the arrow keys, or by itself. */
import type { VNode } from "preact";
import { useEffect, useLayoutEffect, useState } from "preact/hooks";
import type { InspectedStep } from "../../inspector/inspected.ts";
import type { Moment } from "../../inspector/replay.ts";
import { html } from "../html.ts";
import { IconButton } from "../uploads-panel.ts";
import { clockText, durationText } from "./inspect-words.ts";

/** Between two steps: as long as it was, within these. */
const PAUSE_MS_MIN = 350;
const PAUSE_MS_MAX = 1_200;

interface ScrubberProps {
  readonly steps: readonly InspectedStep[];
  /** How many have happened. */
  readonly position: number;
  readonly isNow: boolean;
  readonly isEnded: boolean;
  readonly moment: Moment;
  readonly go: (position: number) => void;
  readonly goNow: () => void;
}

export function Scrubber({ steps, position, isNow, isEnded, moment, go, goNow }: ScrubberProps): VNode {
  const [isPlaying, setPlaying] = useState(false);
  const isAtEnd = position >= steps.length;
  useEffect(() => {
    if (!isPlaying) return;
    if (isAtEnd) return setPlaying(false);
    const gapMs = (steps[position]?.fromMs ?? 0) - (steps[position - 1]?.atMs ?? 0);
    const timer = setTimeout(() => go(position + 1), position === 0 ? PAUSE_MS_MIN : Math.max(PAUSE_MS_MIN, Math.min(PAUSE_MS_MAX, gapMs)));
    return () => clearTimeout(timer);
  }, [isPlaying, position, steps.length]);
  const step = (by: number): void => {
    setPlaying(false);
    go(Math.max(0, Math.min(steps.length, position + by)));
  };
  // In the same turn as the drawing: a key that is pressed before a later effect would step from where it was, once more.
  useLayoutEffect(() => {
    const onKeyDown = (event: KeyboardEvent): void => {
      const { target } = event;
      const isElsewhere =
        target instanceof HTMLElement && target.closest("input, select, textarea, dialog, .chart-box, .sequence-box") !== null;
      if (isElsewhere || event.ctrlKey || event.altKey || event.metaKey) return;
      if (event.key !== "ArrowLeft" && event.key !== "ArrowRight") return;
      event.preventDefault();
      step(event.key === "ArrowLeft" ? -1 : 1);
    };
    window.addEventListener("keydown", onKeyDown);
    return () => window.removeEventListener("keydown", onKeyDown);
  });
  const play = (): void => {
    if (!isPlaying && isAtEnd) go(0);
    setPlaying(!isPlaying);
  };
  const said = moment.step === undefined ? "the beginning" : moment.step.events.map(({ event }) => event).join(", ");
  const offset = steps[0] === undefined ? 0 : moment.atMs - steps[0].fromMs;
  return html`<div class="scrubber" role="group" aria-label="Replay">
    <${IconButton} icon="left" label="One step back" onClick=${() => step(-1)} />
    <${IconButton} icon=${isPlaying ? "pause" : "play"} label=${isPlaying ? "Pause" : "Play the steps"} onClick=${play} />
    <${IconButton} icon="right" label="One step on" onClick=${() => step(1)} />
    <input
      type="range"
      min="0"
      max=${steps.length}
      step="1"
      value=${position}
      aria-label="Step"
      aria-valuetext=${`${position} of ${steps.length}: ${said}, in ${moment.state}`}
      onInput=${(event: InputEvent) => {
        setPlaying(false);
        go(Number((event.target as HTMLInputElement).value));
      }}
    />
    <output>
      <span class="step">${position} of ${steps.length}</span>
      <span class="hint">${isNow ? (isEnded ? "as it ended" : "as it is now") : `${clockText(moment.atMs)} · +${durationText(Math.max(0, offset))}`}</span>
    </output>
    <button type="button" class="quiet" disabled=${isNow} onClick=${() => {
      setPlaying(false);
      goNow();
    }}>${isEnded ? "End" : "Live"}</button>
  </div>`;
}
