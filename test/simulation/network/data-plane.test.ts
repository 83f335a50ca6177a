/** The data plane over HTTP in the world: the conformance suite of the port between a simulated gateway and a simulated node. */
import { SILENT_LOG } from "../../../src/core/log.ts";
import { createDataServer, SLOWEST_GATEWAY } from "../../../src/data-plane/data-server.ts";
import { HttpDataPlane } from "../../../src/data-plane/http-data-plane.ts";
import { describeDataPlane } from "../../contract/data-plane.ts";
import { PassingTime } from "../passing-time.ts";
import { SimulatedProcess } from "../simulated-process.ts";
import { World } from "../world.ts";
import { SimulatedNetwork } from "./simulated-network.ts";

describeDataPlane("HTTP (simulated network)", async ({ node, tokens, clock }) => {
  const world = new World(1);
  const time = new PassingTime(world);
  const standStill = time.flow();
  const network = new SimulatedNetwork(world);
  const storage = new SimulatedProcess(world, "storage1", 1);
  const server = network.server(storage, { slowestBody: SLOWEST_GATEWAY, clock, log: SILENT_LOG });
  const { url } = await server.listen({ host: "storage1", port: 0 }, createDataServer(node, tokens, { log: SILENT_LOG }));
  const http = network.client(new SimulatedProcess(world, "gateway1", 1));
  return {
    plane: new HttpDataPlane({ http, clock }),
    access: (token) => ({ nodeId: node.nodeId, url, token }),
    killNode: async () => storage.die("killed"),
    delivered: () => time.pass(20),
    close: async () => {
      await http.close();
      await standStill();
    },
  };
});
