/** What actors count anyway, told as metrics when somebody asks: a turn costs nothing more. */
import type { Metrics, Sample } from "../core/ports/metrics.ts";
import type { ActorDirectory, ActorTally } from "./actor-directory.ts";
import type { RequestBooks, RequestStatistics } from "./request-book.ts";

/** @returns ends it */
export function tellActors(metrics: Metrics, directory: ActorDirectory): () => void {
  // There may be thousands: a scrape, which asks all of these in one go, goes through them once.
  let tallies: ReadonlyMap<string, ActorTally> | undefined;
  const tally = (): ReadonlyMap<string, ActorTally> => {
    if (tallies === undefined) {
      tallies = directory.tallies();
      void Promise.resolve().then(() => {
        tallies = undefined;
      });
    }
    return tallies;
  };
  const told = (field: keyof ActorTally) => () => [...tally()].map(([actor, value]) => ({ labels: { actor }, value: value[field] }));
  return all([
    metrics.read("troupe_actors", told("actors")),
    metrics.read("troupe_mailbox_waiting", told("waiting")),
    metrics.read("troupe_mailbox_waiting_max", told("waitingMax")),
    metrics.read("troupe_actor_deferred_replies", told("deferred")),
    metrics.read("troupe_actor_turns_total", told("turns")),
    metrics.read("troupe_actor_crashes_total", told("crashes")),
    metrics.read("troupe_dead_letters_total", told("deadLetters")),
  ]);
}

/** @param books of one role. @returns ends it */
export function tellRequests(metrics: Metrics, books: RequestBooks): () => void {
  const each = (value: (page: RequestStatistics) => number) => (): readonly Sample<"troupe_actor_requests_total">[] =>
    books
      .list()
      .flatMap((book) =>
        Object.keys(book.contract.requests).map((verb) => ({ labels: { actor: book.contract.name, verb }, value: value(book.read(verb)) })),
      );
  return all([
    metrics.read(
      "troupe_actor_requests_total",
      each(({ requests }) => requests),
    ),
    metrics.read(
      "troupe_actor_request_errors_total",
      each(({ errors }) => errors),
    ),
    metrics.read(
      "troupe_actor_request_seconds_total",
      each(({ processingMs }) => processingMs / 1_000),
    ),
  ]);
}

function all(ends: readonly (() => void)[]): () => void {
  return () => {
    for (const end of ends) end();
  };
}
