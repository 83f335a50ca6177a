/** Getting a file by its digest: at once when the content is ours already, by showing that we have it when it is somebody else's. */
import { createHmac } from "node:crypto";
import { readFully } from "../core/durable.ts";
import { TroupeError } from "../core/errors.ts";
import { CLIENT_DIGEST_FIRST_BYTES_MAX, READ_BLOCK_BYTES } from "../core/limits.ts";
import type { DiskFile } from "../core/ports/disk.ts";
import { type AgainPorts, again, STARTING_POLICY } from "./again.ts";
import type { CreatedUpload, PossessionChallenge } from "./answers.ts";
import type { Created, TroupeClient, UploadRequest } from "./troupe-client.ts";

/**
 * Creates an upload, and answers its challenge if there is one. An upload that comes of it is to be filled. A small file is sent sooner
 * than a proof is refused: its challenge is left alone.
 * @param onUpload there is an upload, whatever becomes of it
 */
export async function createWithProof(
  client: TroupeClient,
  ports: AgainPorts,
  file: DiskFile,
  request: UploadRequest,
  signal: AbortSignal | undefined,
  onUpload?: (uploadId: string) => void,
): Promise<Created> {
  const created = await again(STARTING_POLICY, ports, signal, () => client.create(request, signal));
  if (created.kind === "file") return created;
  onUpload?.(created.upload.uploadId);
  const { challenge } = created.upload;
  if (challenge === undefined || request.size <= CLIENT_DIGEST_FIRST_BYTES_MAX || !isAnswerable(challenge, request.size)) return created;
  return await answered(client, ports, file, created.upload, challenge, signal);
}

async function answered(
  client: TroupeClient,
  ports: AgainPorts,
  file: DiskFile,
  upload: CreatedUpload,
  challenge: PossessionChallenge,
  signal: AbortSignal | undefined,
): Promise<Created> {
  const hmac = await proofOf(file, challenge);
  try {
    const proven = await again(STARTING_POLICY, ports, signal, () => client.prove(upload.uploadId, hmac, signal));
    return proven.kind === "file" ? proven : { kind: "upload", upload };
  } catch (error) {
    // A challenge may be ignored; whatever is wrong with the proof, the bytes can be sent.
    if (error instanceof TroupeError && error.code !== "CANCELLED") return { kind: "upload", upload };
    throw error;
  }
}

/** A server that asks for more than the file, or past its end, is not answered. */
function isAnswerable({ ranges }: PossessionChallenge, sizeBytes: number): boolean {
  return (
    ranges.every(([offset, bytes]) => offset + bytes <= sizeBytes) &&
    ranges.reduce((sum, [, bytes]) => sum + bytes, 0) <= Math.min(sizeBytes, 16 * READ_BLOCK_BYTES)
  );
}

async function proofOf(file: DiskFile, { nonce, ranges }: PossessionChallenge): Promise<string> {
  const hmac = createHmac("sha256", Buffer.from(nonce, "hex"));
  for (const [offset, bytes] of ranges) {
    const span = new Uint8Array(bytes);
    await readFully(file, span, offset);
    hmac.update(span);
  }
  return hmac.digest("hex");
}
