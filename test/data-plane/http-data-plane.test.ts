/** The data plane over HTTP: the conformance suite over real sockets, and what only this adapter promises. */
import { SILENT_LOG } from "../../src/core/log.ts";
import { createDataServer } from "../../src/data-plane/data-server.ts";
import { HttpDataPlane } from "../../src/data-plane/http-data-plane.ts";
import { NodeRangeClient } from "../../src/data-plane/node-range-client.ts";
import { NodeHttpServer } from "../../src/gateway/node-http.ts";
import { NodeHttpClient } from "../../src/gateway/node-http-client.ts";
import { describeDataPlane } from "../contract/data-plane.ts";

for (const [name, makeRanges] of [
  ["HTTP", () => undefined],
  ["HTTP (ranges over plain sockets)", () => new NodeRangeClient()],
] as const) {
  describeDataPlane(name, async ({ node, tokens, clock }) => {
    const server = new NodeHttpServer({ clock, log: SILENT_LOG });
    const listener = await server.listen({ host: "127.0.0.1", port: 0 }, createDataServer(node, tokens, SILENT_LOG));
    const http = new NodeHttpClient();
    const ranges = makeRanges();
    let isGone = false;
    const kill = async (): Promise<void> => {
      if (isGone) return;
      isGone = true;
      const closed = listener.close(0);
      await clock.advance(0);
      await closed;
    };
    return {
      plane: new HttpDataPlane({ http, ranges, clock }),
      access: (token) => ({ nodeId: node.nodeId, url: listener.url, token }),
      killNode: kill,
      close: async () => {
        await http.close();
        await ranges?.close();
        await kill();
      },
    };
  });
}
