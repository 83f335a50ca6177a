/** The conformance suite of HTTP exchanges over real sockets. */
import { NodeHttpServer } from "../../src/gateway/node-http.ts";
import { NodeHttpClient } from "../../src/gateway/node-http-client.ts";
import { describeHttpExchange } from "../contract/http-exchange.ts";
import { settle, VirtualClock } from "../support/virtual-clock.ts";
import { recordingLog } from "./rig.ts";

describeHttpExchange("node:http", async () => {
  const clock = new VirtualClock();
  return {
    client: new NodeHttpClient(),
    server: (options) => new NodeHttpServer({ clock, log: recordingLog([]) }, options),
    advance: (byMs) => clock.advance(byMs),
    settle: async () => {
      // Time for sockets, which no clock of ours moves.
      await new Promise((resolve) => setTimeout(resolve, 30));
      await settle();
    },
    close: () => Promise.resolve(),
  };
});
