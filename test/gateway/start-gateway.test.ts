import { expect, test } from "vitest";
import { gateway } from "../../src/actors/gateway/contract.ts";
import { client } from "../../src/bus/client.ts";
import { LoopbackBus } from "../../src/bus/loopback.ts";
import { startGateway } from "../../src/gateway/gateway.ts";
import { NodeHttpServer } from "../../src/gateway/node-http.ts";
import { NodeHttpClient } from "../../src/gateway/node-http-client.ts";
import { SeededRandom } from "../support/seeded-random.ts";
import { VirtualClock } from "../support/virtual-clock.ts";
import { recordingLog } from "./rig.ts";

const OPTIONS = { nodeId: "gateway1", tokens: [], corsOrigins: [], fileBytesMax: 1000, trustProxy: false };

function ports() {
  const clock = new VirtualClock();
  const random = new SeededRandom(1);
  const log = recordingLog([]);
  const unused = async (): Promise<never> => {
    throw new Error("no bytes in this test");
  };
  return {
    clock,
    random,
    log,
    bus: new LoopbackBus({ clock, random }),
    dataPlane: { storeChunk: unused, readBlob: unused, readUpload: unused },
    httpServer: new NodeHttpServer({ clock, log }),
  };
}

test("a started gateway serves HTTP, tells the bus how it is doing, and is gone when stopped", async () => {
  const given = ports();
  const started = await startGateway(given, OPTIONS, { host: "127.0.0.1", port: 0 });
  const http = new NodeHttpClient();
  const answer = await http.exchange({ method: "GET", url: `${started.url}/healthz` });
  for await (const block of answer.body) expect(Buffer.from(block).toString()).toBe("ok\n");
  expect(await client(given.bus, gateway, { nodeId: "gateway1" }).status({})).toMatchObject({
    nodeId: "gateway1",
    url: started.url,
    requestCount: 1,
    inFlightCount: 0,
    errorCount: 0,
  });
  await started.stop(1000);
  await expect(http.exchange({ method: "GET", url: `${started.url}/healthz` })).rejects.toMatchObject({ code: "UNAVAILABLE" });
  await expect(client(given.bus, gateway, { nodeId: "gateway1" }).status({})).rejects.toMatchObject({ code: "UNAVAILABLE" });
  await http.close();
});

test("without a token it refuses to listen beyond loopback, and leaves nothing behind", async () => {
  const given = ports();
  await expect(startGateway(given, OPTIONS, { host: "0.0.0.0", port: 0 })).rejects.toMatchObject({ code: "SETTING_INVALID" });
  await expect(client(given.bus, gateway, { nodeId: "gateway1" }).status({})).rejects.toMatchObject({ code: "UNAVAILABLE" });
});
