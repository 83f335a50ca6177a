/** The command line before a whole store in this process: real actors on a real disk, only the sockets are missing. */
import type { Inspected } from "../../src/bin/cast.ts";
import { TroupeClient } from "../../src/client/troupe-client.ts";
import { SILENT_LOG } from "../../src/core/log.ts";
import { SpanBook } from "../../src/core/span-book.ts";
import { LocalDataPlane } from "../../src/data-plane/local-data-plane.ts";
import { createGateway } from "../../src/gateway/gateway.ts";
import { InProcessClient } from "../../src/gateway/in-process-client.ts";
import { SystemClock } from "../../src/store/system-clock.ts";
import { SeededRandom } from "../support/seeded-random.ts";
import { startTroupe } from "../support/troupe.ts";
import { commandRig, type RunOptions, type Said } from "./command-rig.ts";

export async function storeRig() {
  const rig = await commandRig();
  const clock = new SystemClock();
  const inspected: Inspected = { spans: new SpanBook(clock, "store"), directories: [] };
  const troupe = await startTroupe({ root: rig.path("store"), clock, inspected });
  const gateway = createGateway(
    {
      bus: troupe.bus,
      clock,
      random: new SeededRandom(5),
      log: SILENT_LOG,
      dataPlane: new LocalDataPlane([troupe.node]),
      spans: inspected.spans,
    },
    { nodeId: "gateway1", tokens: [], publicUrl: "http://gateway.test", corsOrigins: [], fileBytesMax: 1024 ** 3, trustProxy: false },
  );
  const http = new InProcessClient(
    async () => gateway.handler,
    async () => undefined,
  );
  const server = { http, clock };
  return {
    client: new TroupeClient({ ...server, gateway: "http://gateway.test" }),
    troupe,
    path: rig.path,
    file: rig.file,
    bars: rig.bars,
    run: async (argv: readonly string[], options: RunOptions = {}): Promise<Said> => await rig.run(argv, { server, ...options }),
    async [Symbol.asyncDispose]() {
      await gateway.stop();
      await troupe.stop();
      await rig[Symbol.asyncDispose]();
    },
  };
}

/** Bytes as a body. */
export async function* body(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  yield bytes;
}
