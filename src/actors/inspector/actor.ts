/**
 * The inspector of one process: reads out what the process writes down anyway, and changes nothing.
 */
import type { Activation, ActorStatus } from "../../bus/actor.ts";
import type { ActorDirectory } from "../../bus/actor-directory.ts";
import { actorSubject } from "../../bus/contract.ts";
import { ACTORS_TOLD_MAX, SPANS_TOLD_MAX } from "../../core/limits.ts";
import type { Clock } from "../../core/ports/clock.ts";
import type { SpanBook } from "../../core/span-book.ts";
import { toldStanding } from "../../core/standing.ts";
import { byUnrest } from "../../core/unrest.ts";
import { upload } from "../upload/contract.ts";
import type { InspectedActor, inspector } from "./contract.ts";

export interface InspectedProcess {
  readonly clock: Clock;
  readonly nodeId: string;
  readonly roles: readonly string[];
  readonly version: string;
  readonly spans: SpanBook;
  /** One a role. */
  readonly directories: readonly ActorDirectory[];
}

export function startInspector(process: InspectedProcess): () => Promise<Activation<typeof inspector>> {
  const { clock, nodeId, roles, version, spans, directories } = process;
  const startedMs = clock.wallMs();
  const identity = { nodeId, roles: [...roles] };
  return async () => ({
    handlers: {
      spans: ({ id, traceIds = [] }) => {
        const found = id === undefined ? { spans: spans.ofTraces(traceIds), counts: [] } : spans.find(id);
        return {
          ...identity,
          // The newest are those one waits for.
          spans: found.spans.slice(-SPANS_TOLD_MAX),
          counts: found.counts.slice(0, SPANS_TOLD_MAX),
          isTruncated: found.spans.length > SPANS_TOLD_MAX,
        };
      },
      actors: ({ actor, uploadIds }) => {
        const all = directories.flatMap((directory) => directory.list()).filter((status) => actor === undefined || status.actor === actor);
        const counts = [...Map.groupBy(all, (status) => status.actor)].map(([name, { length: count }]) => ({ actor: name, count }));
        const nowMs = clock.nowMs();
        const told = uploadIds === undefined ? undefined : new Set(uploadIds.map((uploadId) => actorSubject(upload, { uploadId })));
        const actors = all
          .filter(({ actor: name, subject }) => told === undefined || name !== upload.name || told.has(subject))
          .sort((a, b) => byUnrest(a, b) || (a.subject < b.subject ? -1 : 1))
          .slice(0, ACTORS_TOLD_MAX)
          .map((status) => inspected(status, nowMs));
        return { ...identity, version, startedMs, actors, counts };
      },
    },
  });
}

function inspected(
  { actor, subject, lifecycle, turns, crashes, waiting, deferred, deadLetters }: ActorStatus,
  nowMs: number,
): InspectedActor {
  return {
    actor,
    subject,
    state: lifecycle.state,
    ...toldStanding(lifecycle, nowMs),
    turns,
    crashes,
    waiting,
    deferred,
    deadLetters,
  };
}
