/** The data plane over HTTP: the conformance suite over real sockets, and what only this adapter promises. */
import { describe, expect, it } from "vitest";
import { GATEWAY_SILENCE_MS_MAX } from "../../src/core/limits.ts";
import { SILENT_LOG } from "../../src/core/log.ts";
import { createDataServer, SLOWEST_GATEWAY } from "../../src/data-plane/data-server.ts";
import { HttpDataPlane } from "../../src/data-plane/http-data-plane.ts";
import { NodeRangeClient } from "../../src/data-plane/node-range-client.ts";
import { TokenMint } from "../../src/data-plane/token.ts";
import { NodeHttpServer } from "../../src/gateway/node-http.ts";
import { NodeHttpClient } from "../../src/gateway/node-http-client.ts";
import { describeDataPlane, until } from "../contract/data-plane.ts";
import { SeededRandom } from "../support/seeded-random.ts";
import { VirtualClock } from "../support/virtual-clock.ts";
import { MemoryNode } from "./memory-node.ts";

for (const [name, makeRanges] of [
  ["HTTP", () => undefined],
  ["HTTP (ranges over plain sockets)", () => new NodeRangeClient()],
] as const) {
  describeDataPlane(name, async ({ node, tokens, clock }) => {
    const server = new NodeHttpServer({ clock, log: SILENT_LOG }, { slowestBody: SLOWEST_GATEWAY });
    const listener = await server.listen({ host: "127.0.0.1", port: 0 }, createDataServer(node, tokens, { log: SILENT_LOG }));
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

describe("a data server", () => {
  it("F18: lets a gateway go that hangs while the end of a body is withheld; nothing of it counts", async () => {
    const clock = new VirtualClock();
    const node = new MemoryNode();
    const tokens = new TokenMint(clock, new SeededRandom(3));
    const server = new NodeHttpServer({ clock, log: SILENT_LOG }, { slowestBody: SLOWEST_GATEWAY });
    const listener = await server.listen({ host: "127.0.0.1", port: 0 }, createDataServer(node, tokens, { log: SILENT_LOG }));
    const gate = Promise.withResolvers<void>();
    const http = new NodeHttpClient();
    const answer = http.exchange({
      method: "PUT",
      url: `${listener.url}/chunks/upload1/0?from=0&atomic=1`,
      headers: { authorization: `Bearer ${tokens.mint({ kind: "write", uploadId: "upload1" })}` },
      body: (async function* () {
        yield Buffer.from([0, 0, 0, 9, 1, 2, 3]);
        await gate.promise;
      })(),
      expectContinue: true,
    });
    await until(() => node.takenBytes === 3);
    // What came of it counts for its first window.
    await clock.advance(GATEWAY_SILENCE_MS_MAX);
    expect(node.openCount).toBe(1);
    await clock.advance(GATEWAY_SILENCE_MS_MAX);
    expect((await answer).status).toBe(408);
    expect([node.openCount, node.chunks.size]).toEqual([0, 0]);
    gate.resolve();
    await http.close();
    const closed = listener.close(0);
    await clock.advance(0);
    await closed;
  });
});
