/**
 * Reads files beside the page: their BLAKE3, and the proof that one has the bytes. WebAssembly does it, for `crypto.subtle` is not there
 * over plain HTTP. Memory: one block a job.
 */
import { createBLAKE3, createHMAC, createSHA256, type IHasher } from "hash-wasm";
import type { DigestAnswer, DigestRequest } from "./digest-protocol.ts";

const BLOCK_BYTES = 4 * 1024 * 1024;

const abandoned = new Set<number>();

addEventListener("message", ({ data }: MessageEvent<DigestRequest>) => {
  if (data.kind === "abandon") abandoned.add(data.job);
  else
    work(data)
      .then(
        (hex) => answer({ job: data.job, hex }),
        (error: unknown) => answer({ job: data.job, fault: String(error) }),
      )
      .finally(() => abandoned.delete(data.job));
});

const answer = (message: DigestAnswer): void => postMessage(message);

async function work(request: Exclude<DigestRequest, { kind: "abandon" }>): Promise<string> {
  const { file, job } = request;
  if (request.kind === "digest") {
    const hasher = (await createBLAKE3()).init();
    await read(hasher, file, 0, file.size, job);
    return hasher.digest("hex");
  }
  const key = Uint8Array.from(request.nonce.match(/../g) ?? [], (pair) => Number.parseInt(pair, 16));
  const hasher = (await createHMAC(createSHA256(), key)).init();
  for (const [offset, bytes] of request.ranges) await read(hasher, file, offset, bytes, job);
  return hasher.digest("hex");
}

async function read(hasher: IHasher, file: Blob, from: number, bytes: number, job: number): Promise<void> {
  for (let offset = from; offset < from + bytes; offset += BLOCK_BYTES) {
    if (abandoned.has(job)) throw new Error("Nobody wants this any more.");
    const block = await file.slice(offset, Math.min(from + bytes, offset + BLOCK_BYTES)).arrayBuffer();
    hasher.update(new Uint8Array(block));
  }
}
