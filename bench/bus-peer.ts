/**
 * One end of the bus benchmark, as a process of its own: `node bench/bus-peer.ts '<task as JSON>'`. The answering end says `ready` and
 * answers until it is told to end; the asking end does as many requests as it can and prints one line of JSON.
 *
 * `contract` is the way actors speak: schemas checked at both ends, a mailbox, turns, deadlines. `raw` is the NATS client alone, with
 * payloads of the same size.
 */
import { connect, type NatsConnection } from "nats";
import { z } from "zod";
import { client } from "../src/bus/client.ts";
import { defineContract, request } from "../src/bus/contract.ts";
import { host } from "../src/bus/host.ts";
import { connectNats } from "../src/bus/nats.ts";
import { SILENT_LOG } from "../src/core/log.ts";
import { SystemClock } from "../src/store/system-clock.ts";
import { SystemRandom } from "../src/store/system-random.ts";

export interface BusTask {
  readonly end: "answer" | "ask";
  readonly way: "contract" | "raw";
  /** `127.0.0.1:4222` */
  readonly server: string;
  readonly inFlight: number;
  readonly seconds: number;
}

export interface BusResult {
  readonly count: number;
  readonly seconds: number;
}

const SUBJECT = "troupe.v1.bench";
const counter = defineContract({
  name: "bench",
  doc: "Answers a small request with a small answer, as an ID allocator does.",
  subject: SUBJECT,
  requests: {
    next: request({
      doc: "A lease.",
      input: z.object({ key: z.string().max(64), count: z.int().positive() }),
      output: z.object({ key: z.string(), first: z.int(), count: z.int() }),
      errors: [],
    }),
  },
});
/** As long as the contract's request and answer are in msgpack. */
const QUESTION = new Uint8Array(22).fill(0x61);
const ANSWER = new Uint8Array(34).fill(0x62);

const task = JSON.parse(process.argv[2] ?? "{}") as BusTask;
const clock = new SystemClock();
const ports = { clock, random: new SystemRandom(), log: SILENT_LOG };
const bus =
  task.way === "contract" ? await connectNats({ servers: [task.server], name: "bench", inboxPrefix: "_INBOX", ...ports }) : undefined;
const raw = task.way === "raw" ? await connect({ servers: task.server }) : undefined;
if (task.end === "answer") await answer();
else process.stdout.write(`${JSON.stringify(await ask())}\n`);

async function answer(): Promise<void> {
  if (bus !== undefined) {
    let first = 0;
    await host(bus, counter, {}, ports, async () => ({
      handlers: {
        next: ({ key, count }) => {
          first += count;
          return { key, first: first - count, count };
        },
      },
    }));
    await bus.flush();
  } else {
    const connection = raw as NatsConnection;
    connection.subscribe(`${SUBJECT}.next`, { queue: "bench", callback: (_, message) => void message.respond(ANSWER) });
    await connection.flush();
  }
  process.stdout.write("ready\n");
}

async function ask(): Promise<BusResult> {
  const next = asking();
  let count = 0;
  const startMs = clock.nowMs();
  const endMs = startMs + task.seconds * 1000;
  const lane = async (): Promise<void> => {
    while (clock.nowMs() < endMs) {
      await next();
      count += 1;
    }
  };
  await Promise.all(Array.from({ length: task.inFlight }, lane));
  const seconds = (clock.nowMs() - startMs) / 1000;
  await bus?.drain();
  await raw?.drain();
  return { count, seconds };
}

function asking(): () => Promise<unknown> {
  if (bus === undefined) return () => (raw as NatsConnection).request(`${SUBJECT}.next`, QUESTION, { timeout: 5_000 });
  const calls = client(bus, counter);
  return () => calls.next({ key: "blob", count: 100 });
}
