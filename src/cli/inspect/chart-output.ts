/** The chart of an upload's machine in the ways a person may want it: a picture, Mermaid, or JSON for other tools. */
import { resolve } from "node:path";
import type { UploadInspection } from "../../client/inspection-answers.ts";
import { replaceFile } from "../../core/durable.ts";
import { TroupeError } from "../../core/errors.ts";
import { marksOf } from "../../inspector/inspection-marks.ts";
import type { Marks } from "../../inspector/marks.ts";
import { mermaidText } from "../../inspector/mermaid.ts";
import { paintedFile } from "../../inspector/paint.ts";
import { STATECHARTS } from "../../inspector/statecharts.ts";
import type { CommandContext } from "../context.ts";
import { shortDuration } from "../time-text.ts";

const CHART = STATECHARTS.upload;

/** @param inspection absent: the machine as it is, with nothing marked */
export function svgOf(inspection: UploadInspection | undefined): string {
  return paintedFile(CHART, marks(inspection));
}

export function mermaidOf(inspection: UploadInspection | undefined): string {
  return mermaidText(CHART, marks(inspection).live);
}

/** As xstate's own tools take it. The machines come with a library that other commands do without. */
export async function machineJsonText(): Promise<string> {
  const [{ machineJson }, { MACHINES }] = await Promise.all([
    import("../../inspector/machine-json.ts"),
    import("../../inspector/machines.ts"),
  ]);
  return machineJson(MACHINES.upload);
}

/** @param target a path, or `-` for stdout */
export async function writeChart({ disk, terminal, workingDirectory }: CommandContext, target: string, text: string): Promise<void> {
  if (target === "-") terminal.out(text);
  else await replaceFile(disk, resolve(workingDirectory, target), Buffer.from(text));
}

function marks(inspection: UploadInspection | undefined): Marks {
  if (inspection === undefined) return {};
  const { machine, missing } = inspection;
  if (machine === undefined) throw new TroupeError("NOT_FOUND", missing ?? "Nobody has a log of it.");
  return marksOf(CHART, machine, shortDuration);
}
