import { expect, test } from "vitest";
import { catalog } from "../../src/actors/catalog/contract.ts";
import { encodeBody } from "../../src/bus/codec.ts";
import { requestSubject } from "../../src/bus/contract.ts";
import { LoopbackBus } from "../../src/bus/loopback.ts";
import { LOOKUP_KEPT_MS } from "../../src/core/limits.ts";
import type { Clock } from "../../src/core/ports/clock.ts";
import { FileDirectory } from "../../src/gateway/file-directory.ts";
import type { GatewayPorts } from "../../src/gateway/ports.ts";
import { CatalogRig } from "../actors/catalog/rig.ts";
import { SeededRandom } from "../support/seeded-random.ts";
import { VirtualClock } from "../support/virtual-clock.ts";

test("F25: an answer that was long on its way is remembered for the shorter", async () => {
  await using rig = await CatalogRig.open();
  const { file } = await rig.upload("ann", "a.mp4", "x", 1);
  const clock = new VirtualClock();
  const bus = new LoopbackBus({ clock, random: new SeededRandom(1) });
  const askedAtMs: number[] = [];
  bus.subscribe(requestSubject(catalog, {}, "file"), (message) => {
    askedAtMs.push(clock.nowMs());
    clock.setTimer(LOOKUP_KEPT_MS / 2, () => bus.publish(message.reply as string, encodeBody(file, "msgpack")));
  });
  const ports: Pick<GatewayPorts, "bus" | "clock"> = { bus, clock: clock satisfies Clock };
  const files = new FileDirectory(ports as GatewayPorts);
  const find = async (): Promise<void> => {
    const found = files.find(file.fileId, { principal: { owner: "ann" } });
    await clock.advance(LOOKUP_KEPT_MS / 2);
    expect(await found).toEqual(file);
  };
  await find();
  expect(askedAtMs).toHaveLength(1);
  expect(await files.find(file.fileId, { principal: { owner: "ann" } })).toEqual(file);
  await clock.advance(LOOKUP_KEPT_MS / 2 + 1);
  await find();
  expect(askedAtMs).toHaveLength(2);
  await bus.drain();
});
