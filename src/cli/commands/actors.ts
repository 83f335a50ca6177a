/** `troupe actors [ROLE]`: the actors of all processes, what is unwell first. */
import type { ActorsReport, ReportedActor } from "../../client/inspection-answers.ts";
import { checkIdentity } from "../../core/identity.ts";
import { byUnrest } from "../../core/unrest.ts";
import type { Definition } from "../session.ts";
import { type Column, printable, table } from "../table.ts";
import { shortDuration } from "../time-text.ts";

const COLUMNS: readonly Column[] = [
  { title: "PROCESS" },
  { title: "ACTOR" },
  { title: "STATE" },
  { title: "SINCE", align: "right" },
  { title: "TURNS", align: "right" },
  { title: "WAITING", align: "right" },
  { title: "DEFERRED", align: "right" },
  { title: "CRASHES", align: "right" },
  { title: "DEAD", align: "right" },
];

const EXAMPLES = `
Examples:
  troupe actors                 everything that hears messages, what is unwell first
  troupe actors catalog
  troupe actors upload          uploads that are hosted now

WAITING: messages before their turn. DEFERRED: answers that wait for work beside the turns. CRASHES: turns that ended in an error of
the program. DEAD: messages nobody answered.
`;

export const actorsCommand: Definition = (program, act) => {
  program
    .command("actors")
    .description("list the actors of all processes, and how they are")
    .argument("[role]", "only these: tracker, ids, catalog, storage, gateway, or upload")
    .addHelpText("after", EXAMPLES)
    .action(
      act(async ({ client, context, json }, [role]) => {
        const report = await client.actors(role === undefined ? undefined : checkIdentity(role, "The role"), context.signal);
        if (json) return context.terminal.out(`${JSON.stringify(report)}\n`);
        const rows = actorsOf(report);
        if (rows.length > 0) context.terminal.out(table(COLUMNS, rows.map(rowOf)));
        context.terminal.err(summary(report, rows.length, role));
      }),
    );
};

interface Placed {
  readonly nodeId: string;
  readonly actor: ReportedActor;
}

function actorsOf({ processes }: ActorsReport): Placed[] {
  return processes
    .flatMap(({ nodeId, actors }) => actors.map((actor) => ({ nodeId, actor })))
    .sort((a, b) => byUnrest(a.actor, b.actor) || (a.nodeId < b.nodeId ? -1 : a.nodeId > b.nodeId ? 1 : 0));
}

function rowOf({ nodeId, actor }: Placed): string[] {
  const { subject, state, sinceMs, turns, waiting, deferred, crashes, deadLetters } = actor;
  const numbers = [turns, waiting, deferred, crashes, deadLetters].map(String);
  return [nodeId, subject.replace(/^troupe\.v1\./, ""), state, shortDuration(sinceMs), ...numbers];
}

function summary({ processes }: ActorsReport, shown: number, role: string | undefined): string {
  if (role !== undefined && processes.length === 0) return `No process that answered has an actor called ${printable(role)}.\n`;
  const count = processes.length === 1 ? "1 process" : `${processes.length} processes`;
  const answered =
    role === undefined ? `${count} answered` : `${count} answered that ${processes.length === 1 ? "has" : "have"} such actors`;
  const all = processes.flatMap(({ counts }) => counts).filter(({ actor }) => role === undefined || actor === role);
  const more = all.reduce((sum, { count: actors }) => sum + actors, 0) - shown;
  return `${answered}.${more > 0 ? ` ${more} more actors are not shown; they are well, or less unwell.` : ""}\n`;
}
