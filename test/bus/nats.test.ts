/** The bus over a real nats-server: the conformance suite. What only this adapter promises is in the files beside. */
import { afterAll, beforeAll } from "vitest";
import { connectNats, type NatsBus } from "../../src/bus/nats.ts";
import { SILENT_LOG } from "../../src/core/log.ts";
import { SystemClock } from "../../src/store/system-clock.ts";
import { describeBus } from "../contract/bus.ts";
import { startTestNats, type TestNats } from "../support/nats-server.ts";

let server: TestNats;
beforeAll(async () => {
  server = await startTestNats();
});
afterAll(async () => {
  await server[Symbol.asyncDispose]();
});

describeBus("NATS", async () => {
  const connections: NatsBus[] = [];
  return {
    connect: async () => {
      const bus = await connectNats({
        servers: [server.url],
        name: "tester/one",
        inboxPrefix: "_INBOX",
        clock: new SystemClock(),
        log: SILENT_LOG,
      });
      connections.push(bus);
      return bus;
    },
    // Time passes by itself.
    pass: async () => undefined,
    close: async () => {
      for (const bus of connections) await bus.disconnect();
    },
  };
});
