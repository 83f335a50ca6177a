/** The roles as they are wired: each is a micro service that tells what its actors have done. */
import { expect, it } from "vitest";
import { askService } from "../contract/micro-service.ts";
import { temporaryDirectory } from "../support/temporary-directory.ts";
import { someBytes, startTroupe, uploadFile } from "../support/troupe.ts";

it("each role is one service, and what ended sessions were asked stays counted", async () => {
  await using directory = await temporaryDirectory();
  await using troupe = await startTroupe({ root: directory.path });
  for (const seed of [1, 2]) await uploadFile(troupe, someBytes(100_000, seed));
  const pings = await askService(troupe.bus, "PING", 4);
  expect(pings.map(({ name }) => name).sort()).toEqual(["catalog", "ids", "storage", "tracker"]);
  const [storage] = await askService(troupe.bus, "STATS", 1, `.storage.${troupe.node.nodeId}`);
  expect(storage?.metadata).toEqual({ group: "group001", zone: "zone1" });
  const counted = Object.fromEntries((storage?.endpoints ?? []).map(({ name, num_requests }) => [name, num_requests]));
  expect(counted).toMatchObject({ createUpload: 2, "upload-merge": 2, "upload-cancel": 0, "bytes-read": 0 });
});
