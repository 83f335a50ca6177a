/**
 * `troupe --nats`: the command line speaks to the actors themselves. It plays a gateway inside its own process, without a socket, so
 * that every verb does the same either way.
 */
import { gateway } from "../actors/gateway/contract.ts";
import { connectNats } from "../bus/nats.ts";
import { parseNatsUrl } from "../bus/nats-url.ts";
import { pingServices } from "../bus/service-ping.ts";
import type { Actors } from "../cli/context.ts";
import { TroupeError, toTroupeError } from "../core/errors.ts";
import { FILE_BYTES_LIMIT } from "../core/limits.ts";
import { SILENT_LOG } from "../core/log.ts";
import type { Bus } from "../core/ports/bus.ts";
import type { Clock } from "../core/ports/clock.ts";
import type { HttpClient } from "../core/ports/http-exchange.ts";
import { type Random, randomIdentity } from "../core/ports/random.ts";
import { createGateway, type RunningGateway } from "../gateway/gateway.ts";
import { InProcessClient } from "../gateway/in-process-client.ts";
import { dataPlaneOf } from "./cast.ts";

export interface ActorsPorts {
  readonly clock: Clock;
  readonly random: Random;
  readonly http: HttpClient;
}

/** Connects when it is first asked something. */
export function openActors(nats: string, owner: string, ports: ActorsPorts): Actors & { close(): Promise<void> } {
  const token = randomIdentity(ports.random, 32);
  let opening: Promise<Opened> | undefined;
  const open = (): Promise<Opened> => {
    opening ??= connect(nats, { owner, secret: token }, ports);
    return opening;
  };
  const close = async (): Promise<void> => {
    // Whoever asked has been told that it could not be opened.
    const opened = await opening?.catch(() => undefined);
    await opened?.bus.drain();
  };
  return {
    http: new InProcessClient(async () => (await open()).gateway.handler, close),
    token,
    gatewayUrl: async () => (await open()).gatewayUrl,
    close,
  };
}

interface Opened {
  readonly bus: Bus;
  readonly gateway: RunningGateway;
  /** Of a gateway of the cluster. */
  readonly gatewayUrl: string | undefined;
}

async function connect(nats: string, token: { readonly owner: string; readonly secret: string }, ports: ActorsPorts): Promise<Opened> {
  const { clock, random } = ports;
  const nodeId = `client-${randomIdentity(random, 8)}`;
  const log = SILENT_LOG;
  let bus: Bus;
  try {
    bus = await connectNats({ ...parseNatsUrl(nats), name: `client/${nodeId}`, inboxPrefix: "_INBOX_client", clock, log });
  } catch (error) {
    const { code, detail, facts } = toTroupeError(error);
    throw code === "BUS_UNAVAILABLE" ? new TroupeError(code, detail, { cause: error, facts: { ...facts, unreachable: true } }) : error;
  }
  // Addresses in answers are those that everybody can use.
  const gatewayUrl = await findGateway(bus);
  const dataPlane = dataPlaneOf({ bus, clock, random, log }, [], ports.http);
  const running = createGateway(
    { bus, clock, random, log, dataPlane },
    { nodeId, tokens: [token], publicUrl: gatewayUrl, corsOrigins: [], fileBytesMax: FILE_BYTES_LIMIT, trustProxy: false },
  );
  return { bus, gateway: running, gatewayUrl };
}

/** Any gateway of the cluster: its micro service tells its address. */
async function findGateway(bus: Bus): Promise<string | undefined> {
  const [found] = await pingServices(bus, gateway.name, { timeoutMs: FINDING_MS, repliesMax: 1 });
  const url = found?.metadata["url"];
  return url !== undefined && URL.canParse(url) ? url : undefined;
}

const FINDING_MS = 500;
