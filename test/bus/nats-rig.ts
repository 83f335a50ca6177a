/** Connections to a test's own nats-server, with a log that can be read, closed when the test's scope ends. */
import { connectNats, type NatsBus } from "../../src/bus/nats.ts";
import type { NatsOptions } from "../../src/bus/nats-dial.ts";
import { SystemClock } from "../../src/store/system-clock.ts";
import type { TestNats } from "../support/nats-server.ts";
import { type LogLine, readableLog } from "./theatre.ts";

/** How long a test waits for what it expects to see: longer than any pause before another attempt to connect, on a busy machine too. */
export const SEEN_WITHIN = { timeout: 60_000, interval: 20 };

export const text = (value: string): Uint8Array => new TextEncoder().encode(value);

export class Connections implements AsyncDisposable {
  readonly #server: TestNats;
  readonly #buses: NatsBus[] = [];
  readonly lines: LogLine[] = [];

  constructor(server: TestNats) {
    this.#server = server;
  }

  async connect(options: Partial<NatsOptions> = {}): Promise<NatsBus> {
    const bus = await connectNats({
      servers: [this.#server.url],
      name: "tester/one",
      inboxPrefix: "_INBOX",
      clock: new SystemClock(),
      log: readableLog(this.lines).log,
      ...options,
    });
    this.#buses.push(bus);
    return bus;
  }

  /** Logged at this level, in the order it was. */
  said(level: LogLine["level"]): string[] {
    return this.lines.filter((line) => line.level === level).map((line) => line.sentence);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const bus of this.#buses) await bus.disconnect();
  }
}

export function codeThrown(work: () => void): string {
  try {
    work();
    return "nothing was thrown";
  } catch (error) {
    return error instanceof Error && "code" in error ? String(error.code) : `not typed: ${String(error)}`;
  }
}
