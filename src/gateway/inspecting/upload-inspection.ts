/**
 * One upload looked into: what its machine is in and how it came there, from the node that hosts it or did, and why it waits, in words.
 *
 * U1: whose it is the catalog says first, so somebody else's is one that is not there.
 * U2: a host that does not answer is no failure: it is why the upload waits.
 * U3: what ends while it is looked into is told as ended, as the catalog knows it by then, or else as its session says.
 */
import { catalog } from "../../actors/catalog/contract.ts";
import { storage } from "../../actors/storage/contract.ts";
import { type CallOptions, client } from "../../bus/client.ts";
import { type ErrorCode, TroupeError } from "../../core/errors.ts";
import { isIdentity } from "../../core/identity.ts";
import type { MachineInspection } from "../../core/inspection.ts";
import { INSPECT_HOST_MS } from "../../core/limits.ts";
import type { Principal } from "../../core/principal.ts";
import { isEnded, type LastError, type UploadState } from "../../core/shapes.ts";
import type { Exchange } from "../exchange.ts";
import type { Gateway } from "../gateway-parts.ts";
import { outcomeView, recordView } from "../views.ts";
import { type Waiting, whyWaiting } from "./why-waiting.ts";

type Asker = CallOptions & { readonly principal: Principal };

/** U2 */
const AWAY: ReadonlySet<ErrorCode> = new Set(["UNAVAILABLE", "HOST_UNAVAILABLE", "DEADLINE_EXCEEDED", "BUSY", "STOPPING"]);

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
  // U1
  const known = await client(bus, catalog).upload({ uploadId }, options);
  const { host } = known;
  const asked = { ...options, timeoutMs: INSPECT_HOST_MS };
  const [{ machine, missing, isAway }, status] = await Promise.all([
    machineOf(gateway, host, uploadId, asked),
    isEnded(known.state) ? undefined : statusOf(gateway, exchange, uploadId, asked),
  ]);
  // U3
  const record = endOf(status) !== undefined ? await client(bus, catalog).upload({ uploadId }, options) : known;
  const { group, epoch } = record;
  const ended = endOf(record) ?? endOf(status);
  const view = isEnded(record.state) ? outcomeView(record, exchange.baseUrl) : status?.view;
  // U2: what the catalog knows is known, too; how much had come of what has ended without a file, only the machine does.
  const receivedCount = ended === undefined || ended.state === "merged" ? undefined : machine?.context["receivedCount"];
  const upload = { ...(view ?? recordView(record)), ...(receivedCount === undefined ? {} : { receivedCount, receivedBytes: undefined }) };
  const why = whyWaiting({ view, machine, isHostAway: isAway === true, host, ended, nowMs: clock.wallMs() });
  return { upload, host, group, epoch, machine, missing, why };
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
    if (isAwayError(error)) return { missing: `The node ${host} does not answer.`, isAway: true };
    if (error instanceof TroupeError && error.code === "UPLOAD_NOT_FOUND")
      return { missing: `The node ${host} does not remember what it went through: it has been started since, or it is too long ago.` };
    throw error;
  }
}

/** How it ended, if it has. */
function endOf(told: Pick<Status, "state" | "lastError"> | undefined): Waiting["ended"] {
  return told !== undefined && isEnded(told.state) ? { state: told.state, lastError: told.lastError } : undefined;
}

/** What its session says. */
interface Status {
  readonly state: UploadState;
  readonly lastError?: LastError | undefined;
  readonly view: Record<string, unknown>;
}

async function statusOf({ events }: Gateway, exchange: Exchange, uploadId: string, asked: CallOptions): Promise<Status | undefined> {
  try {
    const { state, view } = await events.snapshot(uploadId, exchange, asked);
    return { state, view, lastError: view["lastError"] as LastError | undefined };
  } catch (error) {
    // All else is told.
    if (isAwayError(error)) return undefined;
    throw error;
  }
}

function isAwayError(error: unknown): boolean {
  return error instanceof TroupeError && AWAY.has(error.code);
}
