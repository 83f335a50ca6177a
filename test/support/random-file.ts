/** Files of any size that are never held: bytes that look random, nowhere compressible or sparse, and the same for the same seed. */
import { createCipheriv } from "node:crypto";

export const BLOCK_BYTES = 1024 * 1024;
const CIPHER_BLOCK_BYTES = 16;
const ZEROS = Buffer.alloc(BLOCK_BYTES);

/** The bytes from `offset` on, a multiple of `BLOCK_BYTES`, in blocks of `BLOCK_BYTES` at most. */
export function* randomBlocks(seed: number, offset: number, lengthBytes: number): Generator<Buffer, void, void> {
  const key = Buffer.alloc(16);
  key.writeUInt32BE(seed);
  const counter = Buffer.alloc(16);
  counter.writeBigUInt64BE(BigInt(offset / CIPHER_BLOCK_BYTES), 8);
  const cipher = createCipheriv("aes-128-ctr", key, counter);
  for (let done = 0; done < lengthBytes; done += BLOCK_BYTES)
    yield cipher.update(ZEROS.subarray(0, Math.min(BLOCK_BYTES, lengthBytes - done)));
}

/** Compares a stream with the file of that seed. @throws {Error} where it differs, or ends early or late */
export async function expectRandomFile(stream: AsyncIterable<Uint8Array>, seed: number, sizeBytes: number): Promise<void> {
  const blocks = randomBlocks(seed, 0, sizeBytes);
  let wanted: Buffer = Buffer.alloc(0);
  let offset = 0;
  for await (const piece of stream) {
    let rest = Buffer.from(piece.buffer, piece.byteOffset, piece.byteLength);
    while (rest.length > 0) {
      if (wanted.length === 0) wanted = blocks.next().value ?? Buffer.alloc(0);
      if (wanted.length === 0) throw new Error(`the stream has more than its ${sizeBytes} bytes`);
      const count = Math.min(wanted.length, rest.length);
      if (!wanted.subarray(0, count).equals(rest.subarray(0, count)))
        throw new Error(`the stream differs in the ${count} bytes from ${offset}`);
      wanted = wanted.subarray(count);
      rest = rest.subarray(count);
      offset += count;
    }
  }
  if (offset !== sizeBytes) throw new Error(`the stream ended after ${offset} of ${sizeBytes} bytes`);
}
