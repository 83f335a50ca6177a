/** `troupe inspect ID`: what an upload's machine is in, since when, and why it waits; or the machine itself. */
import { Option } from "commander";
import type { InspectionEvent, UploadInspection } from "../../client/inspection-answers.ts";
import { TroupeError } from "../../core/errors.ts";
import { checkIdentity } from "../../core/identity.ts";
import { isEnded, type UploadState } from "../../core/shapes.ts";
import { LiveSteps } from "../inspect/live-steps.ts";
import { inspectionText } from "../inspect/upload-text.ts";
import type { Definition, Session } from "../session.ts";
import { printable } from "../table.ts";

interface InspectOptions {
  readonly follow?: boolean;
  readonly svg?: string;
  readonly mermaid?: boolean;
  readonly machine?: "json";
}

const EXAMPLES = `
Examples:
  troupe inspect V1StGXR8_Z5jdHi6B-myT0              why it waits, and what happened
  troupe inspect V1StGXR8_Z5jdHi6B-myT0 --follow     each event as it happens, until the upload ends
  troupe inspect V1StGXR8_Z5jdHi6B-myT0 --svg now.svg
  troupe inspect --mermaid                           the machine of every upload
  troupe inspect --machine json > upload.json        for stately.ai/editor

Without an ID, --svg and --mermaid show the machine with nothing marked in it.
`;

export const inspectCommand: Definition = (program, act) => {
  program
    .command("inspect")
    .description("look into an upload: its state, since when, and why it waits")
    .argument("[id]", "an upload's ID, from 'troupe uploads'; one that has ended, too")
    .option("--follow", "go on telling what happens until it ends, with 0 however that is; with --json one object a line")
    .addOption(
      new Option("--svg <file>", "its statechart as a picture, with its state, times and counts; - for stdout").conflicts("follow"),
    )
    .addOption(new Option("--mermaid", "its statechart as text for Mermaid").conflicts(["follow", "svg"]))
    .addOption(
      new Option("--machine <format>", "the machine itself, for tools of xstate").choices(["json"]).conflicts(["follow", "svg", "mermaid"]),
    )
    .addHelpText("after", EXAMPLES)
    .action(
      act<InspectOptions>(async (session, [word], options) => {
        const uploadId = word === undefined ? undefined : checkIdentity(word, "The upload");
        if (await drawsChart(session, uploadId, options)) return;
        if (uploadId === undefined) throw new TroupeError("BAD_REQUEST", "Which upload? 'troupe uploads' lists them.");
        if (options.follow === true) await follow(session, uploadId);
        else await show(session, uploadId);
      }),
    );
};

/** The charts are a lot to read, and other commands do without them. */
async function drawsChart(session: Session, uploadId: string | undefined, { machine, svg, mermaid }: InspectOptions): Promise<boolean> {
  if (machine === undefined && svg === undefined && mermaid !== true) return false;
  const { machineJsonText, mermaidOf, svgOf, writeChart } = await import("../inspect/chart-output.ts");
  const { context } = session;
  if (machine !== undefined) context.terminal.out(await machineJsonText());
  else if (svg !== undefined) await writeChart(context, svg, svgOf(await found(session, uploadId)));
  else context.terminal.out(mermaidOf(await found(session, uploadId)));
  return true;
}

async function found({ client, context }: Session, uploadId: string | undefined): Promise<UploadInspection | undefined> {
  return uploadId === undefined ? undefined : await client.inspect(uploadId, context.signal);
}

async function show({ client, context, json }: Session, uploadId: string): Promise<void> {
  const inspection = await client.inspect(uploadId, context.signal);
  const { terminal, clock } = context;
  terminal.out(json ? `${JSON.stringify({ uploadId, ...inspection })}\n` : inspectionText(uploadId, inspection, clock.wallMs()));
}

async function follow(session: Session, uploadId: string): Promise<void> {
  const { client, context, json, gateway } = session;
  const { terminal } = context;
  const last = json ? await followJson(session, uploadId) : await followLines(session, uploadId);
  if (last !== undefined && hasEnded(last)) {
    if (!json) terminal.out(`${printable(last.why)}\n`);
    return;
  }
  // A stream that ended in between may have been the last of an upload's, whose end was not heard.
  const now = await client.inspect(uploadId, context.signal);
  if (!hasEnded(now)) throw new TroupeError("UNAVAILABLE", `${gateway} has ended the stream, and the upload goes on. Follow it again.`);
  terminal.out(json ? `${JSON.stringify({ event: "inspection", uploadId, ...now })}\n` : `${printable(now.why)}\n`);
}

/** @returns the last whole */
async function followJson({ client, context }: Session, uploadId: string): Promise<UploadInspection | undefined> {
  let last: UploadInspection | undefined;
  for await (const event of client.watch(uploadId, context.signal)) {
    if (event.kind === "inspection") last = event.inspection;
    const facts = event.kind === "inspection" ? { uploadId, ...event.inspection } : event.steps;
    context.terminal.out(`${JSON.stringify({ event: event.kind, ...facts })}\n`);
  }
  return last;
}

async function followLines({ client, context }: Session, uploadId: string): Promise<UploadInspection | undefined> {
  const { terminal, clock } = context;
  let last: UploadInspection | undefined;
  let missing: string | undefined;
  let lines: LiveSteps | undefined;
  let bar: ReturnType<typeof terminal.openBar> | undefined;
  const say = (line: string): void => {
    bar?.clear();
    terminal.out(line);
  };
  try {
    for await (const event of client.watch(uploadId, context.signal)) {
      if (event.kind === "inspection") last = event.inspection;
      if (lines === undefined && event.kind === "inspection") {
        say(inspectionText(uploadId, event.inspection, clock.wallMs()));
        lines = new LiveSteps(clock, event.inspection, (line) => say(`  ${line}`));
      } else {
        // That its node has gone, or is back, is none of its steps.
        if (event.kind === "inspection" && event.inspection.missing !== missing && !hasEnded(event.inspection)) {
          lines?.flush();
          say(`${printable(event.inspection.why)}\n`);
        }
        lines?.take(event);
      }
      if (event.kind === "inspection") missing = event.inspection.missing;
      const chunkCount = last?.upload?.chunkCount;
      if (!terminal.isTerminal || chunkCount === undefined) continue;
      bar ??= terminal.openBar(printable(last?.upload?.name ?? uploadId), chunkCount);
      bar.update(receivedOf(event), stateOf(event));
    }
  } finally {
    lines?.flush();
    bar?.stop();
  }
  return last;
}

function receivedOf(event: InspectionEvent): number {
  const context = event.kind === "steps" ? event.steps.context : (event.inspection.machine?.context ?? {});
  return typeof context["receivedCount"] === "number" ? context["receivedCount"] : 0;
}

function stateOf(event: InspectionEvent): string {
  return printable(event.kind === "steps" ? event.steps.state : (event.inspection.machine?.state ?? event.inspection.upload?.state ?? ""));
}

function hasEnded({ upload }: UploadInspection): boolean {
  return upload !== undefined && isEnded(upload.state as UploadState);
}
