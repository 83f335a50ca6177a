/**
 * One upload looked into: what its machine is in and how it came there, from the node that hosts it or did, and why it waits, in words.
 *
 * Whose it is the catalog says first, so somebody else's is one that is not there.
 */
import { catalog } from "../../actors/catalog/contract.ts";
import { storage } from "../../actors/storage/contract.ts";
import { type CallOptions, client, isNoResponders } from "../../bus/client.ts";
import { TroupeError } from "../../core/errors.ts";
import { isIdentity } from "../../core/identity.ts";
import type { MachineInspection } from "../../core/inspection.ts";
import type { Principal } from "../../core/principal.ts";
import { isEnded, type LastError } from "../../core/shapes.ts";
import type { Exchange } from "../exchange.ts";
import type { Gateway } from "../gateway-parts.ts";
import { whyWaiting } from "./why-waiting.ts";

type Asker = CallOptions & { readonly principal: Principal };

/**
 * @throws {TroupeError} `UPLOAD_NOT_FOUND`, and what the bus throws
 */
export async function inspectUpload(
  gateway: Gateway,
  exchange: Exchange,
  uploadId: string,
  options: Asker,
): Promise<Record<string, unknown>> {
  if (!isIdentity(uploadId)) throw new TroupeError("UPLOAD_NOT_FOUND");
  const { bus, clock } = gateway.ports;
  const record = await client(bus, catalog).upload({ uploadId }, options);
  const [machine, upload] = await Promise.all([
    machineOf(gateway, record.host, uploadId, options),
    gateway.events.snapshot(uploadId, exchange, exchange.request.signal).then(({ view }) => view, awayOf),
  ]);
  const { host, group, epoch, state, lastError } = record;
  return {
    upload,
    host,
    group,
    epoch,
    ...("machine" in machine ? { machine: machine.machine } : { missing: machine.missing }),
    why: whyWaiting({
      view: upload,
      machine: "machine" in machine ? machine.machine : undefined,
      isHostAway: "isAway" in machine,
      host,
      ended: isEnded(state) ? { state, lastError: lastError as LastError | undefined } : undefined,
      nowMs: clock.wallMs(),
    }),
  };
}

type Found =
  | { readonly machine: MachineInspection }
  /** Why there is none. */
  | { readonly missing: string }
  | { readonly missing: string; readonly isAway: true };

async function machineOf({ ports }: Gateway, host: string, uploadId: string, options: Asker): Promise<Found> {
  try {
    return { machine: await client(ports.bus, storage, { nodeId: host }).inspectUpload({ uploadId }, options) };
  } catch (error) {
    if (isNoResponders(error)) return { missing: `The node ${host} does not answer.`, isAway: true };
    if (error instanceof TroupeError && error.code === "UPLOAD_NOT_FOUND")
      return { missing: `The node ${host} does not remember what it went through: it has been started since, or it is too long ago.` };
    throw error;
  }
}

/** A session whose host is away has no status; all else is told. */
function awayOf(error: unknown): undefined {
  if (error instanceof TroupeError && error.code === "HOST_UNAVAILABLE") return undefined;
  throw error;
}
