/**
 * A statechart with what is marked in it. Charts were laid out beforehand; they are fetched once.
 *
 * C1: where the window is too small to read all of it, one moves it, and what is lit comes into sight by itself; or one looks at the whole.
 */
import type { VNode } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import type { LaidOutChart } from "../../inspector/laid-out-chart.ts";
import type { Marks } from "../../inspector/marks.ts";
import { paint } from "../../inspector/paint.ts";
import { html } from "../html.ts";
import { ask } from "../server.ts";
import { errorText } from "../words.ts";
import type { MachineName } from "./inspect-place.ts";
import { painted } from "./painted.ts";

const charts = new Map<MachineName, Promise<LaidOutChart>>();

function fetchChart(name: MachineName): Promise<LaidOutChart> {
  const known = charts.get(name);
  if (known !== undefined) return known;
  const fetched = ask<LaidOutChart>("GET", `/page/${name}.json`).then(({ value }) => value);
  charts.set(name, fetched);
  fetched.catch(() => charts.delete(name));
  return fetched;
}

export function useChart(name: MachineName): { readonly chart: LaidOutChart | undefined; readonly fault: string | undefined } {
  const [chart, setChart] = useState<LaidOutChart | undefined>(undefined);
  const [fault, setFault] = useState<string | undefined>(undefined);
  useEffect(() => {
    let isWanted = true;
    fetchChart(name).then(
      (fetched) => isWanted && setChart(fetched),
      (error: unknown) => isWanted && setFault(errorText(error)),
    );
    return () => {
      isWanted = false;
    };
  }, [name]);
  return { chart: chart?.name === name ? chart : undefined, fault };
}

interface ChartProps {
  readonly name: MachineName;
  /** Worked out of the chart. */
  readonly marks: (chart: LaidOutChart) => Marks;
  /** A machine as such, of which nothing is lit. */
  readonly isPlain?: true;
}

export function ChartView({ name, marks, isPlain }: ChartProps): VNode {
  const { chart, fault } = useChart(name);
  const box = useRef<HTMLDivElement>(null);
  const shown = chart === undefined ? {} : marks(chart);
  // Where nothing will be lit, nothing would come into sight by itself.
  const [isWhole, setWhole] = useState(() => isPlain === true && matchMedia("(max-width: 44rem)").matches);
  const live = shown.live?.join(" ");
  useEffect(() => {
    const lit = [...(box.current?.querySelectorAll(".live.atomic, .live.final") ?? [])].at(-1);
    if (box.current !== null && lit !== undefined) bringIntoSight(box.current, lit);
  }, [live, chart, isWhole]);
  if (chart === undefined) return html`<div class="chart-box"><p class="nothing" role="status">${fault ?? ""}</p></div>`;
  return html`<div class="chart-frame">
    <div ref=${box} class=${`chart-box ${isWhole ? "whole" : ""}`} tabindex="0" role="group" aria-label=${`Statechart of ${name}`} data-chart=${name}>
      ${painted(paint(chart, shown))}
    </div>
    <button type="button" class="quiet whole-button" aria-pressed=${isWhole} onClick=${() => setWhole(!isWhole)}>Whole chart</button>
  </div>`;
}

/** C1: the page itself stays where it is. */
function bringIntoSight(box: HTMLElement, lit: Element): void {
  const outer = box.getBoundingClientRect();
  const inner = lit.getBoundingClientRect();
  const isInside = inner.left >= outer.left && inner.right <= outer.right && inner.top >= outer.top && inner.bottom <= outer.bottom;
  if (isInside) return;
  const isCalm = matchMedia("(prefers-reduced-motion: reduce)").matches;
  box.scrollBy({
    left: inner.left + inner.width / 2 - outer.left - outer.width / 2,
    top: inner.top + inner.height / 2 - outer.top - outer.height / 2,
    behavior: isCalm ? "instant" : "smooth",
  });
}
