/** `troupe trace ID`: what all processes did for one upload or one request. */
import type { TraceReport } from "../../client/inspection-answers.ts";
import { checkIdentity } from "../../core/identity.ts";
import type { Definition } from "../session.ts";
import { traceText } from "../trace/trace-text.ts";

const EXAMPLES = `
Examples:
  troupe trace V1StGXR8_Z5jdHi6B-myT0     an upload, from its creation to its file
  troupe trace 4f7aK2Qx                   one request, by the requestId of its error or the field X-Request-Id

Each line has when it began, how long it took, the process, and what it was: an HTTP request, a message to an actor (catalog.upload), a turn
of its own (upload#verify) or work beside the turns (upload~verify), below the one it was done for. Chunks that are alike are one line.
Processes remember the newest only.
`;

export const traceCommand: Definition = (program, act) => {
  program
    .command("trace")
    .description("show what all processes did for an upload or a request")
    .argument("<id>", "of an upload, of a request, or of a trace in hex")
    .addHelpText("after", EXAMPLES)
    .action(
      act(async ({ client, context, json }, [word]) => {
        const report = await client.trace(checkIdentity(word, "The upload or request"), context.signal);
        const { terminal, clock } = context;
        if (json) return terminal.out(`${JSON.stringify(report)}\n`);
        terminal.out(traceText(report, terminal.columns, clock.wallMs()));
        terminal.err(summary(report));
      }),
    );
};

function summary({ spans, processes, isTruncated }: TraceReport): string {
  const involved = new Set(spans.map(({ nodeId }) => nodeId)).size;
  const answered = processes.length === 1 ? "1 process answered" : `${processes.length} processes answered`;
  return `${answered}, ${involved} of them took part.${isTruncated ? " There is more than is told at a time: this is the newest." : ""}\n`;
}
