/** What a request is answered with, when it is an error, is written down where it was made, and found by the ID of the HTTP request. */
import { expect, it } from "vitest";
import { z } from "zod";
import { client } from "../../src/bus/client.ts";
import { defineContract, request } from "../../src/bus/contract.ts";
import { host } from "../../src/bus/host.ts";
import { LoopbackMedium } from "../../src/bus/loopback.ts";
import { type ErrorCode, TroupeError } from "../../src/core/errors.ts";
import type { Log } from "../../src/core/log.ts";
import { SpanBook } from "../../src/core/span-book.ts";
import { currentTrace } from "../../src/core/trace.ts";
import { SeededRandom } from "../support/seeded-random.ts";
import { VirtualClock } from "../support/virtual-clock.ts";

const door = defineContract({
  name: "door",
  doc: "Does not open.",
  subject: "troupe.v1.door",
  requests: {
    open: request({
      doc: "Opens it.",
      input: z.object({ later: z.boolean(), code: z.string() }),
      output: z.object({}),
      errors: ["DISK_FULL", "FILE_NOT_FOUND"],
    }),
  },
});

it.each([
  ["DISK_FULL", "info"],
  ["FILE_NOT_FOUND", "debug"],
  ["an accident", "error"],
] as const)("%s is told as %s, in a turn and in an effect, with the request's ID", async (code, wanted) => {
  const clock = new VirtualClock();
  const random = new SeededRandom(1);
  const medium = new LoopbackMedium({ clock, random });
  const lines: string[] = [];
  const write =
    (level: string) =>
    (facts: Readonly<Record<string, unknown>>): void => {
      if ("subject" in facts) lines.push(`${level} ${facts["subject"]} ${currentTrace()?.requestId}`);
    };
  const log: Log = { debug: write("debug"), info: write("info"), warn: write("warn"), error: write("error"), child: () => log };
  const failure = (): Error => (code === "an accident" ? new Error(code) : new TroupeError(code satisfies ErrorCode));
  const spans = new SpanBook(clock, "door");
  await host(medium.connect(), door, {}, { clock, random, log, spans }, async () => ({
    handlers: {
      open: ({ later }, turn) => {
        if (later) return turn.later(Promise.reject(failure()));
        throw failure();
      },
    },
  }));
  const bus = medium.connect();
  for (const later of [true, false]) {
    const asked = spans.run(
      { kind: "http", actor: "gateway", name: "GET /door" },
      () => client(bus, door).open({ later, code }),
      `request${later}`,
    );
    await expect(asked).rejects.toThrow();
  }
  expect(lines).toEqual([`${wanted} troupe.v1.door.open requesttrue`, `${wanted} troupe.v1.door.open requestfalse`]);
});
