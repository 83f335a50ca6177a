/** The conformance suite of HTTP exchanges in the world. */
import { SILENT_LOG } from "../../../src/core/log.ts";
import { describeHttpExchange } from "../../contract/http-exchange.ts";
import { SimulatedProcess } from "../simulated-process.ts";
import { FlowingWorld } from "./network-rig.ts";
import { SimulatedNetwork } from "./simulated-network.ts";

describeHttpExchange("a simulated network", async () => {
  const flowing = new FlowingWorld();
  const { world } = flowing;
  const network = new SimulatedNetwork(world);
  const server = new SimulatedProcess(world, "gateway1", 1);
  return {
    client: network.client(new SimulatedProcess(world, "client1", 1)),
    server: (options) => network.server(server, { ...options, log: SILENT_LOG }),
    advance: (byMs) => flowing.advance(byMs),
    settle: () => flowing.advance(20),
    close: () => flowing.close(),
  };
});
