/** `/tus/` of a gateway whose storage node is another process, as far as it can tell: bytes go there over HTTP, and the node may be gone. */
import { createHash } from "node:crypto";
import { request } from "node:http";
import { beforeAll, describe, expect, it } from "vitest";
import { type HopCluster, startHopCluster } from "../../data-plane/hop-cluster.ts";
import { temporaryDirectory } from "../../support/temporary-directory.ts";
import { someBytes } from "../../support/troupe.ts";
import { BODY_TYPE, metadata, VERSION } from "./rig.ts";

const MIB = 1024 * 1024;

describe("tus over HTTP to a node", () => {
  const bytes = someBytes(20 * MIB + 777);
  let cluster: HopCluster;

  beforeAll(async () => {
    const directory = await temporaryDirectory();
    cluster = await startHopCluster(directory.path);
    return async () => {
      await cluster[Symbol.asyncDispose]();
      await directory[Symbol.asyncDispose]();
    };
  });

  async function create(): Promise<string> {
    const headers = { ...VERSION, "upload-length": String(bytes.length), "upload-metadata": metadata({ filename: "film.mp4" }) };
    const response = await fetch(`${cluster.gatewayUrl}/tus/`, { method: "POST", headers });
    expect(response.status).toBe(201);
    return new URL(response.headers.get("location") as string, cluster.gatewayUrl).href;
  }

  const head = (url: string): Promise<Response> => fetch(url, { method: "HEAD", headers: VERSION });
  const offsetOf = async (url: string): Promise<number> => Number((await head(url)).headers.get("upload-offset"));
  const patch = (url: string, offset: number, body: Uint8Array, fields: Record<string, string> = {}): Promise<Response> =>
    fetch(url, {
      method: "PATCH",
      headers: { ...VERSION, ...BODY_TYPE, "upload-offset": String(offset), ...fields },
      body: Buffer.from(body),
    });
  const stored = async (answer: Response): Promise<boolean> =>
    Buffer.from(await (await fetch(answer.headers.get("troupe-file") as string)).arrayBuffer()).equals(bytes);

  /** Sends so many bytes of a PATCH that was to have all of them, and then nothing; resolves with how to go away. */
  async function begun(url: string, sentBytes: number): Promise<() => void> {
    const headers = { ...VERSION, ...BODY_TYPE, "upload-offset": "0", "content-length": String(bytes.length) };
    const client = request(url, { method: "PATCH", headers });
    client.on("error", () => undefined);
    await new Promise<void>((resolve) => client.write(bytes.subarray(0, sentBytes), () => resolve()));
    return () => client.destroy();
  }

  it("one body over several chunks is one file", async () => {
    const answer = await patch(await create(), 0, bytes);
    expect([answer.status, answer.headers.get("upload-offset")]).toEqual([204, String(bytes.length)]);
    expect(await stored(answer)).toBe(true);
  });

  it("a checksum over several chunks is checked before any of them counts", async () => {
    const url = await create();
    const checksum = (of: Uint8Array): Record<string, string> => ({
      "upload-checksum": `sha256 ${createHash("sha256").update(of).digest("base64")}`,
    });
    expect((await patch(url, 0, bytes, checksum(bytes.subarray(1)))).status).toBe(460);
    expect(await offsetOf(url)).toBe(0);
    expect(await stored(await patch(url, 0, bytes, checksum(bytes)))).toBe(true);
  });

  it("F18: a client that goes away goes on where its bytes are durable, whole chunks and what is left over", async () => {
    const url = await create();
    const leave = await begun(url, 9 * MIB);
    await expect.poll(() => wholeChunk(url)).toBe(true);
    leave();
    const offset = await offsetOf(url);
    expect(offset).toBeGreaterThanOrEqual(8 * MIB);
    expect(offset).toBeLessThanOrEqual(9 * MIB);
    expect(await stored(await patch(url, offset, bytes.subarray(offset)))).toBe(true);
  });

  it("while its node is gone the upload is locked, which clients wait for, and then it goes on", async () => {
    const url = await create();
    const offset = 9 * MIB;
    expect((await patch(url, 0, bytes.subarray(0, offset))).status).toBe(204);
    await cluster.killNode();
    const locked = await head(url);
    expect([locked.status, locked.headers.has("retry-after")]).toEqual([423, true]);
    expect((await patch(url, offset, bytes.subarray(offset))).status).toBe(503);
    await cluster.startNode();
    await expect.poll(() => offsetOf(url)).toBe(offset);
    expect(await stored(await patch(url, offset, bytes.subarray(offset)))).toBe(true);
  });

  /** Without ending what is under way, as a HEAD would. */
  async function wholeChunk(url: string): Promise<boolean> {
    const id = url.slice(url.lastIndexOf("/") + 1);
    const status = (await (await fetch(`${cluster.gatewayUrl}/api/v1/uploads/${id}`)).json()) as { receivedCount: number };
    return status.receivedCount === 1;
  }
});
