/** The uploads that another one is put together from, wherever they are hosted. */
import { type Client, client, isNoResponders } from "../../bus/client.ts";
import { TroupeError } from "../../core/errors.ts";
import type { Bus } from "../../core/ports/bus.ts";
import { ENDED_CODES, isEnded } from "../../core/shapes.ts";
import type { catalog } from "../catalog/contract.ts";
import { type UploadStatus, upload } from "./contract.ts";

export interface Part {
  readonly uploadId: string;
  readonly sizeBytes: number;
}

interface PartPorts {
  readonly bus: Bus;
  readonly catalog: Client<typeof catalog>;
}

const ASKED_AT_ONCE = 16;

/**
 * The parts, each of them complete and the owner's.
 * @throws {TroupeError} naming the part: `UPLOAD_NOT_FOUND` (also another owner's), `UPLOAD_INCOMPLETE`, `BAD_REQUEST` (not a part),
 *   `UPLOAD_…` as it ended; `HOST_UNAVAILABLE` and other retryable ones while that is not known
 */
export async function lookAtParts(ports: PartPorts, uploadIds: readonly string[], owner: string): Promise<Part[]> {
  const parts: Part[] = [];
  for (let from = 0; from < uploadIds.length; from += ASKED_AT_ONCE) {
    const some = uploadIds.slice(from, from + ASKED_AT_ONCE);
    parts.push(...(await Promise.all(some.map((uploadId) => lookAtPart(ports, uploadId, owner)))));
  }
  return parts;
}

/** Ends the parts, which have become a file. One that cannot be reached expires. @param failed what could not be ended, and why */
export async function endParts(
  ports: PartPorts,
  uploadIds: readonly string[],
  failed: (uploadId: string, error: unknown) => void,
): Promise<void> {
  const rest = [...new Set(uploadIds)];
  const next = async (): Promise<void> => {
    for (let uploadId = rest.pop(); uploadId !== undefined; uploadId = rest.pop()) {
      const session = client(ports.bus, upload, { uploadId });
      try {
        const { epoch } = await session.status({});
        await session.cancel({ epoch });
      } catch (error) {
        failed(uploadId, error);
      }
    }
  };
  await Promise.all(Array.from({ length: ASKED_AT_ONCE }, next));
}

async function lookAtPart(ports: PartPorts, uploadId: string, owner: string): Promise<Part> {
  try {
    const { state, sizeBytes, offsetBytes, tus } = await statusOf(ports, uploadId, owner);
    if (tus?.isPartial !== true) throw new TroupeError("BAD_REQUEST", "It was not begun as a part.");
    if (isEnded(state)) throw new TroupeError(ENDED_CODES[state]);
    if (sizeBytes === undefined || offsetBytes < sizeBytes)
      throw new TroupeError("UPLOAD_INCOMPLETE", `${offsetBytes} of ${sizeBytes ?? "an unknown number of"} bytes are there.`);
    return { uploadId, sizeBytes };
  } catch (error) {
    throw error instanceof TroupeError ? new TroupeError(error.code, `Part ${uploadId}: ${error.detail}`, { cause: error }) : error;
  }
}

/** The catalog says first whose it is: what is another owner's, and what is not there, are the same question and get the same answer. */
async function statusOf(ports: PartPorts, uploadId: string, owner: string): Promise<UploadStatus> {
  const principal = { owner };
  const { state } = await ports.catalog.upload({ uploadId }, { principal });
  if (isEnded(state)) throw new TroupeError(ENDED_CODES[state]);
  try {
    return await client(ports.bus, upload, { uploadId }).status({}, { principal });
  } catch (error) {
    throw isNoResponders(error) ? new TroupeError("HOST_UNAVAILABLE", undefined, { cause: error }) : error;
  }
}
