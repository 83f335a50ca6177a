/** A gateway in front of a node that goes away and comes back: what a client sees. */
import { get } from "node:http";
import { describe, expect, it } from "vitest";
import { temporaryDirectory } from "../support/temporary-directory.ts";
import { someBytes } from "../support/troupe.ts";
import { type HopCluster, startHopCluster } from "./hop-cluster.ts";

const MIB = 1024 * 1024;

async function putFile(cluster: HopCluster, bytes: Buffer): Promise<string> {
  const response = await fetch(`${cluster.gatewayUrl}/put/film.bin`, { method: "PUT", body: new Uint8Array(bytes) });
  expect(response.status).toBe(201);
  return new URL(((await response.text()) as string).trim()).pathname;
}

/** Every byte until the answer ends, and whether it ended as it should. */
function receive(url: string, headers: Record<string, string>, onBytes: (received: number) => void) {
  return new Promise<{ readonly status: number; readonly bytes: Buffer; readonly isWhole: boolean }>((resolve, reject) => {
    get(url, { headers }, (response) => {
      const blocks: Buffer[] = [];
      let received = 0;
      response.on("data", (block: Buffer) => {
        blocks.push(block);
        received += block.length;
        onBytes(received);
      });
      response.on("error", () => undefined);
      response.on("close", () => resolve({ status: response.statusCode ?? 0, bytes: Buffer.concat(blocks), isWhole: response.complete }));
    }).on("error", reject);
  });
}

describe("a gateway and a node in another process", () => {
  it("pass bytes exactly: whole files, ranges, chunks in any order, and a refused digest", async () => {
    await using directory = await temporaryDirectory();
    await using cluster = await startHopCluster(directory.path);
    const bytes = someBytes(3 * MIB + 17);
    const path = await putFile(cluster, bytes);
    const whole = await fetch(cluster.gatewayUrl + path);
    expect(Buffer.from(await whole.arrayBuffer()).equals(bytes)).toBe(true);
    const range = await fetch(cluster.gatewayUrl + path, { headers: { range: "bytes=65537-1300000" } });
    expect(range.status).toBe(206);
    expect(Buffer.from(await range.arrayBuffer()).equals(bytes.subarray(65_537, 1_300_001))).toBe(true);

    const created = (await (
      await fetch(`${cluster.gatewayUrl}/api/v1/uploads`, {
        method: "POST",
        headers: { "content-type": "application/json" },
        body: JSON.stringify({ name: "other.bin", size: bytes.length, chunkBytes: MIB }),
      })
    ).json()) as { uploadId: string; chunkCount: number };
    const chunks = `${cluster.gatewayUrl}/api/v1/uploads/${created.uploadId}/chunks`;
    const wrong = await fetch(`${chunks}/0`, {
      method: "PUT",
      headers: { "content-digest": `md5=:${Buffer.alloc(16).toString("base64")}:` },
      body: new Uint8Array(bytes.subarray(0, MIB)),
    });
    expect(wrong.status).toBe(422);
    await Promise.all(
      [3, 1, 0, 2].map(async (index) => {
        const body = new Uint8Array(bytes.subarray(index * MIB, (index + 1) * MIB));
        expect((await fetch(`${chunks}/${index}`, { method: "PUT", body })).status).toBe(200);
      }),
    );
    const merged = await fetch(`${cluster.gatewayUrl}/api/v1/uploads/${created.uploadId}/merge`, { method: "POST" });
    expect(merged.status).toBe(200);
  });

  it("F1: a node killed in the middle of a range breaks the transfer, never ends it", async () => {
    await using directory = await temporaryDirectory();
    await using cluster = await startHopCluster(directory.path);
    const bytes = someBytes(64 * MIB);
    const path = await putFile(cluster, bytes);
    for (const headers of [{}, { range: `bytes=100-${60 * MIB}` }]) {
      let killed: Promise<void> | undefined;
      const answer = await receive(cluster.gatewayUrl + path, headers, (received) => {
        if (received > MIB) killed ??= cluster.killNode();
      });
      await killed;
      expect(answer.status).toBe("range" in headers ? 206 : 200);
      expect(answer.isWhole).toBe(false);
      const from = "range" in headers ? 100 : 0;
      expect(answer.bytes.equals(bytes.subarray(from, from + answer.bytes.length))).toBe(true);
      await cluster.startNode();
    }
  });

  it("F1: a node that is away is 503 with its name; when it is back, reads go on by themselves", async () => {
    await using directory = await temporaryDirectory();
    await using cluster = await startHopCluster(directory.path);
    const bytes = someBytes(MIB);
    const path = await putFile(cluster, bytes);
    const read = () => fetch(cluster.gatewayUrl + path, { headers: { range: "bytes=0-99999" } });
    expect((await read()).status).toBe(206);
    await cluster.killNode();
    const away = await read();
    expect(away.status).toBe(503);
    expect(away.headers.get("retry-after")).toBe("1");
    const problem = (await away.json()) as { code: string; detail: string };
    expect(problem).toMatchObject({ code: "HOST_UNAVAILABLE", detail: expect.stringContaining(cluster.nodeId) });
    await cluster.startNode();
    const back = await read();
    expect(back.status).toBe(206);
    expect(Buffer.from(await back.arrayBuffer()).equals(bytes.subarray(0, 100_000))).toBe(true);
  });

  it("F1: an upload goes on after its node was started anew, without anybody's help", async () => {
    await using directory = await temporaryDirectory();
    await using cluster = await startHopCluster(directory.path);
    const bytes = someBytes(3 * MIB);
    const created = (await (
      await fetch(`${cluster.gatewayUrl}/api/v1/uploads`, {
        method: "POST",
        headers: { "content-type": "application/json" },
        body: JSON.stringify({ name: "film.bin", size: bytes.length, chunkBytes: MIB }),
      })
    ).json()) as { uploadId: string };
    const upload = `${cluster.gatewayUrl}/api/v1/uploads/${created.uploadId}`;
    const put = (index: number) =>
      fetch(`${upload}/chunks/${index}`, { method: "PUT", body: new Uint8Array(bytes.subarray(index * MIB, (index + 1) * MIB)) });
    expect((await put(0)).status).toBe(200);
    await cluster.killNode();
    const away = await put(1);
    expect(away.status).toBe(503);
    expect(await away.json()).toMatchObject({ code: "HOST_UNAVAILABLE", detail: expect.stringContaining(cluster.nodeId) });
    await cluster.startNode();
    // The gateway still knows the old port and an old token.
    expect((await put(1)).status).toBe(200);
    await cluster.killNode();
    await cluster.startNode();
    expect((await put(2)).status).toBe(200);
    const merged = await fetch(`${upload}/merge`, { method: "POST" });
    expect(merged.status).toBe(200);
    const { url } = (await merged.json()) as { url: string };
    const stored = await fetch(new URL(url, cluster.gatewayUrl));
    expect(Buffer.from(await stored.arrayBuffer()).equals(bytes)).toBe(true);
  });
});
