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
import { isEnded } from "../../core/shapes.ts";
import type { Exchange } from "../exchange.ts";
import type { Gateway } from "../gateway-parts.ts";
import { outcomeView } from "../views.ts";
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
  const { host, group, epoch, state } = record;
  const ended = isEnded(state) ? { state, lastError: record.lastError } : undefined;
  const [{ machine, missing, isAway }, view] = await Promise.all([
    machineOf(gateway, host, uploadId, options),
    ended === undefined ? statusView(gateway, exchange, uploadId) : outcomeView(record, exchange.baseUrl),
  ]);
  const why = whyWaiting({ view, machine, isHostAway: isAway === true, host, ended, nowMs: clock.wallMs() });
  return { upload: view, host, group, epoch, machine, missing, why };
}

interface Found {
  readonly machine?: MachineInspection;
  /** Why there is none. */
  readonly missing?: string;
  readonly isAway?: true;
}

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

async function statusView({ events }: Gateway, exchange: Exchange, uploadId: string): Promise<Record<string, unknown> | undefined> {
  try {
    return (await events.snapshot(uploadId, exchange, exchange.request.signal)).view;
  } catch (error) {
    // A session whose host is away has no status; all else is told.
    if (error instanceof TroupeError && error.code === "HOST_UNAVAILABLE") return undefined;
    throw error;
  }
}
