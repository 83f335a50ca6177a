/** The conformance suite of HTTP exchanges in the world. */
import { SILENT_LOG } from "../../../src/core/log.ts";
import { describeHttpExchange } from "../../contract/http-exchange.ts";
import { PassingTime } from "../passing-time.ts";
import { SimulatedProcess } from "../simulated-process.ts";
import { World } from "../world.ts";
import { SimulatedNetwork } from "./simulated-network.ts";

describeHttpExchange("a simulated network", async () => {
  const world = new World(1);
  const time = new PassingTime(world);
  const standStill = time.flow();
  const network = new SimulatedNetwork(world);
  const server = new SimulatedProcess(world, "gateway1", 1);
  return {
    client: network.client(new SimulatedProcess(world, "client1", 1)),
    server: (options) => network.server(server, { ...options, log: SILENT_LOG }),
    advance: (byMs) => time.pass(byMs),
    settle: () => time.pass(20),
    close: standStill,
  };
});
