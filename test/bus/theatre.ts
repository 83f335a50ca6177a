/** A small contract and a bus with virtual time, for the tests of the host and of the client. */
import { z } from "zod";
import type { Activation, HostConfiguration, HostedActor, Self } from "../../src/bus/actor.ts";
import { type Client, client } from "../../src/bus/client.ts";
import { defineContract, request } from "../../src/bus/contract.ts";
import { host } from "../../src/bus/host.ts";
import { type LoopbackBus, LoopbackMedium } from "../../src/bus/loopback.ts";
import type { Log } from "../../src/core/log.ts";
import { SpanBook } from "../../src/core/span-book.ts";
import { SeededRandom } from "../support/seeded-random.ts";
import { VirtualClock } from "../support/virtual-clock.ts";

export const actor = defineContract({
  name: "player",
  doc: "Plays what a test asks for.",
  subject: "test.player.{playerId}",
  requests: {
    echo: request({
      doc: "The same text.",
      input: z.object({ text: z.string().default("nothing") }),
      output: z.object({ text: z.string() }),
      errors: ["FILE_NOT_FOUND"],
    }),
    work: request({ doc: "What takes its time.", input: z.object({ id: z.int() }), output: z.object({ id: z.int() }), errors: [] }),
    status: request({
      doc: "How it is.",
      input: z.object({}),
      output: z.object({ turns: z.int() }),
      errors: [],
      lane: "priority",
      readOnly: true,
    }),
  },
});
export type Player = typeof actor;

export const chorus = defineContract({
  name: "chorus",
  doc: "Many that hear.",
  subject: "test.chorus",
  requests: {
    roll: request({
      doc: "Everybody answers.",
      input: z.object({}),
      output: z.object({ name: z.string() }),
      errors: ["NODE_NOT_FOUND"],
      to: "all",
    }),
    one: request({ doc: "Somebody answers.", input: z.object({}), output: z.object({ name: z.string() }), errors: [] }),
  },
});

export interface LogLine {
  readonly level: "debug" | "info" | "warn" | "error";
  readonly facts: Readonly<Record<string, unknown>>;
  readonly sentence: string;
}

/** A log that can be read by the test. */
export function readableLog(lines: LogLine[] = []): { readonly log: Log; readonly lines: LogLine[] } {
  const write = (level: LogLine["level"]) => (facts: Readonly<Record<string, unknown>>, sentence: string) =>
    void lines.push({ level, facts, sentence });
  const log: Log = { debug: write("debug"), info: write("info"), warn: write("warn"), error: write("error"), child: () => log };
  return { log, lines };
}

export class Theatre {
  readonly clock = new VirtualClock();
  readonly random = new SeededRandom(3);
  readonly medium = new LoopbackMedium({ clock: this.clock, random: this.random });
  readonly bus: LoopbackBus = this.medium.connect();
  readonly callers: LoopbackBus = this.medium.connect();
  readonly lines: LogLine[] = [];
  readonly spans = new SpanBook(this.clock, "theatre");
  readonly player: Client<Player> = client(this.callers, actor, { playerId: "p1" });

  get ports() {
    return { clock: this.clock, random: this.random, log: readableLog(this.lines).log, spans: this.spans };
  }

  /** Logged at warn or above. */
  get complaints(): string[] {
    return this.lines.filter((line) => line.level === "warn" || line.level === "error").map((line) => line.sentence);
  }

  host(
    handlers: Partial<Activation<Player>["handlers"]> | ((self: Self) => Promise<Partial<Activation<Player>["handlers"]>>),
    configuration?: HostConfiguration,
  ): Promise<HostedActor> {
    return this.hostActivation(
      async (self) => ({ handlers: { ...DEFAULTS, ...(typeof handlers === "function" ? await handlers(self) : handlers) } }),
      configuration,
    );
  }

  hostActivation(start: (self: Self) => Promise<Activation<Player>>, configuration?: HostConfiguration): Promise<HostedActor> {
    return host(this.bus, actor, { playerId: "p1" }, this.ports, start, configuration);
  }
}

const DEFAULTS: Activation<Player>["handlers"] = {
  echo: ({ text }) => ({ text }),
  work: ({ id }) => ({ id }),
  status: () => ({ turns: 0 }),
};

export const whole = { handlers: DEFAULTS };

/** How a call ended, as text that can be compared: `ok`, or the error's code. */
export async function ending(call: Promise<unknown>): Promise<string> {
  try {
    await call;
    return "ok";
  } catch (error) {
    return error !== null && typeof error === "object" && "code" in error ? String(error.code) : `not typed: ${String(error)}`;
  }
}
