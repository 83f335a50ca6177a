/** Requests over the bus and what actors count, as metrics. */
import { expect, it } from "vitest";
import { ActorDirectory } from "../../src/bus/actor-directory.ts";
import { tellActors, tellRequests } from "../../src/bus/actor-metrics.ts";
import { client } from "../../src/bus/client.ts";
import { host } from "../../src/bus/host.ts";
import { MeasuredBus } from "../../src/bus/measured-bus.ts";
import { RequestBooks } from "../../src/bus/request-book.ts";
import { TroupeError } from "../../src/core/errors.ts";
import { PromMetrics } from "../../src/store/prom-metrics.ts";
import { scrape } from "../support/exposition.ts";
import { actor, chorus, ending, Theatre, whole } from "./theatre.ts";

function stage() {
  const theatre = new Theatre();
  const metrics = new PromMetrics(theatre.ports);
  const bus = new MeasuredBus(theatre.callers, metrics, [actor, chorus]);
  return { theatre, metrics, bus };
}

it("the time until an answer is taken by contract and verb, an error's too; no identity becomes a label", async () => {
  const { theatre, metrics, bus } = stage();
  await theatre.host({
    work: async ({ id }) => {
      await theatre.clock.advance(40);
      return { id };
    },
    echo: () => {
      throw new TroupeError("FILE_NOT_FOUND");
    },
  });
  const player = client(bus, actor, { playerId: "p1" });
  await player.work({ id: 1 });
  expect(await ending(player.echo({}))).toBe("FILE_NOT_FOUND");
  expect(await ending(client(bus, actor, { playerId: "nobody" }).work({ id: 1 }))).toBe("UNAVAILABLE");
  const scraped = await scrape(metrics);
  expect(scraped.value("troupe_bus_request_seconds_count", { actor: "player", verb: "work" })).toBe(1);
  expect(scraped.value("troupe_bus_request_seconds_sum", { actor: "player", verb: "work" })).toBeCloseTo(0.04);
  expect(scraped.value("troupe_bus_request_seconds_count", { actor: "player", verb: "echo" })).toBe(1);
  expect(scraped.value("troupe_bus_request_failures_total", { actor: "player", code: "UNAVAILABLE" })).toBe(1);
  expect(scraped.value("troupe_bus_request_seconds_count", { actor: "chorus" })).toBeUndefined();
});

it("what is no request of a contract makes no series, and a caller's own change of mind is no failure", async () => {
  const { theatre, metrics, bus } = stage();
  await theatre.host({});
  for (const subject of ["test.player.p1.dance", "test.player.p1.echo.twice", "$SYS.REQ", "test.players", "test.chorus.dance"])
    await ending(bus.request(subject, Buffer.from("{}"), { timeoutMs: 10 }));
  const aborted = AbortSignal.abort(new Error("never mind"));
  await ending(bus.request("test.player.p1.echo", Buffer.from("{}"), { timeoutMs: 10, signal: aborted }));
  const { series } = await scrape(metrics);
  expect(series.filter(({ name, labels }) => labels["verb"] === "dance" || name === "troupe_bus_request_failures_total")).toEqual([]);
});

it("what an actor counted stays counted when it is gone", async () => {
  const { theatre, metrics } = stage();
  const directory = new ActorDirectory();
  const requestBooks = new RequestBooks();
  tellActors(metrics, directory);
  tellRequests(metrics, requestBooks);
  let isFirst = true;
  const hosted = await host(theatre.bus, actor, { playerId: "p1" }, { ...theatre.ports, actors: directory, requestBooks }, async () => ({
    handlers: {
      ...whole.handlers,
      echo: ({ text }) => {
        if (!isFirst) return { text };
        isFirst = false;
        throw new Error("a bug");
      },
    },
  }));
  expect(await ending(theatre.player.echo({ text: "a" }))).toBe("INTERNAL");
  theatre.bus.publish("test.player.p1.echo", Buffer.from("{}"));
  const later = theatre.player.echo({ text: "b" });
  await theatre.clock.advance(60_000);
  await ending(later);
  const living = await scrape(metrics);
  expect(living.value("troupe_actors", { actor: "player" })).toBe(1);
  expect(living.value("troupe_actor_crashes_total", { actor: "player" })).toBe(1);
  expect(living.value("troupe_dead_letters_total", { actor: "player" })).toBeGreaterThanOrEqual(1);
  expect(living.value("troupe_actor_request_errors_total", { actor: "player", verb: "echo" })).toBeGreaterThanOrEqual(1);
  const turns = living.value("troupe_actor_turns_total", { actor: "player" }) as number;
  expect(turns).toBeGreaterThanOrEqual(1);
  await hosted.stop();
  const gone = await scrape(metrics);
  expect(gone.value("troupe_actors", { actor: "player" })).toBe(0);
  for (const name of ["troupe_actor_turns_total", "troupe_actor_crashes_total", "troupe_dead_letters_total", "troupe_actor_requests_total"])
    expect(gone.value(name, { actor: "player" }), name).toBe(living.value(name, { actor: "player" }));
});
