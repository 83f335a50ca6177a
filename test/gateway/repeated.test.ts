/** The same request again gives the first answer: at the same gateway, at another, on the bus, and after a restart. */
import { describe, expect, it } from "vitest";
import { NodeDisk } from "../../src/store/node-disk.ts";
import { diskFull, FaultyDisk } from "../support/faulty-disk.ts";
import { temporaryDirectory } from "../support/temporary-directory.ts";
import { AS_LOCAL, someBytes, startTroupe } from "../support/troupe.ts";
import { gatewayOf, type TroupeGateway } from "../support/troupe-gateway.ts";

const CHUNK = 65_536;
const UPLOADS = "/api/v1/uploads";
const BYTES = someBytes(CHUNK + 10);
const WISH = { name: "a", size: BYTES.length, chunkBytes: CHUNK };

const created = async (gateway: TroupeGateway, wish: Record<string, unknown> = WISH) => {
  const { status, json } = await gateway.post(UPLOADS, wish, { "idempotency-key": "key-1" });
  return [status, json["uploadId"] ?? json["code"], json["state"]];
};
const put = async (gateway: TroupeGateway, path: string, index: number) => {
  const { status, json } = await gateway.ask("PUT", `${path}/chunks/${index}`, {
    body: BYTES.subarray(index * CHUNK, (index + 1) * CHUNK),
  });
  return [status, json["index"], json["receivedCount"]];
};
const merged = async (gateway: TroupeGateway, path: string) => {
  const { status, json } = await gateway.ask("POST", `${path}/merge`);
  return [status, json];
};

describe("a request that is repeated with its key", () => {
  it("F11, F22: has one effect and the first answer, wherever and whenever it comes again", async () => {
    await using directory = await temporaryDirectory();
    const before = await startTroupe({ root: directory.path });
    const [here, there] = [gatewayOf(before), gatewayOf(before)];
    // At the same time, at two gateways.
    const [first, second] = await Promise.all([created(here), created(there)]);
    const [, uploadId] = first as [number, string];
    const path = `${UPLOADS}/${uploadId}`;
    expect([first, second]).toEqual([
      [201, uploadId, "receiving"],
      [201, uploadId, "receiving"],
    ]);
    expect(await created(there, { ...WISH, size: 1 })).toEqual([409, "IDEMPOTENCY_CONFLICT", undefined]);
    expect(await put(here, path, 0)).toEqual([200, 0, 1]);
    expect(await put(there, path, 0)).toEqual([200, 0, 1]);
    await Promise.all([here.stop(), there.stop()]);
    await before.stop();

    await using troupe = await startTroupe({ root: directory.path });
    const [gateway, other] = [gatewayOf(troupe), gatewayOf(troupe)];
    expect(await created(gateway)).toEqual([201, uploadId, "receiving"]);
    expect(await put(other, path, 0)).toEqual([200, 0, 1]);
    expect(await put(gateway, path, 1)).toEqual([200, 1, 2]);
    const [once, twice] = await Promise.all([merged(gateway, path), merged(other, path)]);
    expect(once).toEqual([200, expect.objectContaining({ size: BYTES.length, copies: 1 })]);
    expect(twice).toEqual(once);
    expect(await merged(other, path)).toEqual(once);
    expect(await created(other)).toEqual([201, uploadId, "merged"]);
    expect((await troupe.catalog.uploads({}, AS_LOCAL)).uploads).toHaveLength(1);
    expect((await troupe.catalog.files({}, AS_LOCAL)).files).toHaveLength(1);
    await Promise.all([gateway.stop(), other.stop()]);
  });

  it("F22: has the first answer also when nothing new could be begun any more", async () => {
    await using directory = await temporaryDirectory();
    const disk = new FaultyDisk(new NodeDisk());
    const before = await startTroupe({ root: directory.path, disk });
    const gateway = gatewayOf(before);
    const [status, uploadId] = await created(gateway);
    // The disk is full when the folder of another is to be made.
    disk.intercept = (call, path) => {
      if (call === "makeDirectory" || call === "open") throw diskFull(path);
    };
    expect(await created(gateway)).toEqual([status, uploadId, "receiving"]);
    expect((await gateway.post(UPLOADS, WISH, { "idempotency-key": "key-2" })).json["code"]).toBe("DISK_FULL");
    disk.intercept = () => {};
    await gateway.stop();
    await before.stop();

    // No node has room for it; files may not be as long any more.
    for (const options of [{ diskReserveBytes: 2 ** 60 }, { fileBytesMax: CHUNK }]) {
      await using troupe = await startTroupe({ root: directory.path, ...options });
      const again = gatewayOf(troupe);
      expect(await created(again)).toEqual([status, uploadId, "receiving"]);
      expect((await again.post(UPLOADS, WISH, { "idempotency-key": "key-2" })).status).toBeGreaterThan(400);
      expect(await created(again, { ...WISH, size: 1 })).toEqual([409, "IDEMPOTENCY_CONFLICT", undefined]);
      await again.stop();
    }
  });

  it("F22: on the bus, too", async () => {
    await using directory = await temporaryDirectory();
    await using troupe = await startTroupe({ root: directory.path });
    const operation = { key: "key-1", requestDigest: "ab".repeat(32) };
    const wish = { app: "default", user: "default", name: "a", contentType: "a/b", sizeBytes: 10, operation };
    const first = await troupe.storage.createUpload(wish, AS_LOCAL);
    const { uploadId, epoch } = await troupe.storage.createUpload(wish, AS_LOCAL);
    expect(uploadId).toBe(first.uploadId);
    const session = troupe.upload(uploadId);
    const [one, other] = await Promise.all([session.cancel({ epoch }, AS_LOCAL), session.cancel({ epoch }, AS_LOCAL)]);
    expect([one, other]).toEqual([{ state: "cancelled" }, { state: "cancelled" }]);
    expect(await troupe.storage.createUpload(wish, AS_LOCAL)).toMatchObject({ uploadId, state: "cancelled", isNew: false });
    const otherWish = { ...wish, operation: { ...operation, requestDigest: "cd".repeat(32) } };
    await expect(troupe.storage.createUpload(otherWish, AS_LOCAL)).rejects.toMatchObject({ code: "IDEMPOTENCY_CONFLICT" });
  });
});
