/**
 * A role as a NATS micro service (ADR-32 of NATS), so that `nats micro ls | info | stats` shows the cluster. The protocol is spoken over
 * the Bus port, hence on the loopback bus as well. Actors answer their requests as ever: a service only tells about them, and stays while
 * they crash and start again.
 *
 * V1: every instance answers `PING`, `INFO` and `STATS`: to all services, to those of its name, and to itself alone.
 * V2: only an inbox is answered, whatever the body.
 * V3: an `INFO` that the bus could not carry is found at the start, not when somebody asks.
 */
import assert from "node:assert/strict";
import { TroupeError } from "../core/errors.ts";
import { checkIdentity } from "../core/identity.ts";
import type { Bus } from "../core/ports/bus.ts";
import type { Clock } from "../core/ports/clock.ts";
import { endpointStatistics, endpointsOf, type ServicePart } from "./micro-service-endpoints.ts";
import type { RequestBooks } from "./request-book.ts";
import { isInbox } from "./subject.ts";

export interface ServicePorts {
  readonly clock: Clock;
  /** What the hosts of the parts write to. */
  readonly requestBooks: RequestBooks;
}

export interface ServiceOptions {
  /** Of this instance: the node's identity. */
  readonly id: string;
  /** Semantic version of the program. */
  readonly version: string;
  /** Of this instance, such as its group. */
  readonly metadata?: Readonly<Record<string, string>>;
  /** The role's own contract, whose name and description are the service's; then others the role answers. */
  readonly parts: readonly [ServicePart, ...ServicePart[]];
}

export interface MicroService {
  /** Resolves when it answers no more. */
  stop(): Promise<void>;
}

// https://semver.org, 2.0.0, items 2, 9 and 10.
const NUMBER = "(?:0|[1-9]\\d*)";
const PRERELEASE = `(?:${NUMBER}|\\d*[A-Za-z-][\\dA-Za-z-]*)`;
const BUILD = "[\\dA-Za-z-]+";
const SEMANTIC_VERSION = new RegExp(`^${NUMBER}\\.${NUMBER}\\.${NUMBER}(-${PRERELEASE}(\\.${PRERELEASE})*)?(\\+${BUILD}(\\.${BUILD})*)?$`);

/** @throws {TroupeError} `BAD_IDENTITY`, `BUS_UNAVAILABLE`, `PAYLOAD_TOO_LARGE` when the contracts' schemas do not fit into a message */
export function startService(bus: Bus, ports: ServicePorts, options: ServiceOptions): MicroService {
  const { id, version, metadata = {}, parts } = options;
  const { name, doc: description } = parts[0].contract;
  checkIdentity(id, "A service's id");
  assert(SEMANTIC_VERSION.test(version), `${version} is not a semantic version`);
  const endpoints = parts.flatMap((part) => endpointsOf(name, part, ports.requestBooks.of(part.contract)));
  const identity = { name, id, version, metadata: { ...metadata } };
  const ping = response("ping", identity);
  const info = response("info", { ...identity, description, endpoints: endpoints.map((endpoint) => endpoint.info) });
  if (info.length > bus.payloadBytesMax)
    throw new TroupeError(
      "PAYLOAD_TOO_LARGE",
      `The ${name} tells of itself in ${info.length} bytes; the bus carries ${bus.payloadBytesMax}.`,
    );
  const started = new Date(ports.clock.wallMs()).toISOString();
  const answers: Readonly<Record<string, () => Uint8Array>> = {
    PING: () => ping,
    INFO: () => info,
    STATS: () => response("stats", { ...identity, started, endpoints: endpoints.map(endpointStatistics) }),
  };
  const subscriptions = Object.entries(answers).flatMap(([verb, answer]) =>
    [`$SRV.${verb}`, `$SRV.${verb}.${name}`, `$SRV.${verb}.${name}.${id}`].map((subject) =>
      bus.subscribe(subject, ({ reply }) => {
        if (reply !== undefined && isInbox(reply)) bus.publish(reply, answer());
      }),
    ),
  );
  return {
    stop: async () => {
      await Promise.all(subscriptions.map((subscription) => subscription.drain()));
    },
  };
}

function response(kind: "ping" | "info" | "stats", fields: object): Uint8Array {
  return new TextEncoder().encode(JSON.stringify({ type: `io.nats.micro.v1.${kind}_response`, ...fields }));
}
