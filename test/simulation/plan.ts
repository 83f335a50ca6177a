/** All that makes one run, as JSON: drawn from a seed, or written down because it once failed. */
import type { Fault, FaultValue, Topology } from "./fault.ts";

/** Something a user does. What it works on is chosen by numbers in it, so that leaving one out changes no other. */
export interface Operation {
  /** Of no other in the plan, and the same when others are left out: keys and paths are named after it. */
  readonly id: number;
  /** Who does it. A client does one thing after the other; it begins at this time, or once it is done with what came before. */
  readonly client: string;
  readonly atMs: number;
  /** Of its {@link OperationKind}: `upload`. */
  readonly kind: string;
  readonly with: Readonly<Record<string, FaultValue>>;
}

/** How many processes of each role. */
export interface Nodes {
  readonly trackers: number;
  readonly allocators: number;
  readonly catalogs: number;
  readonly storages: number;
  readonly gateways: number;
  readonly clients: number;
}

export interface Plan {
  readonly format: 1;
  readonly seed: number;
  /** Simulated time during which operations and faults begin; after that the world heals. */
  readonly minutes: number;
  readonly nodes: Nodes;
  readonly operations: readonly Operation[];
  readonly faults: readonly Fault[];
}

export const NODES_USUAL: Nodes = { trackers: 2, allocators: 2, catalogs: 2, storages: 4, gateways: 2, clients: 5 };

export function topologyOf(nodes: Nodes): Topology {
  const names = (role: string, count: number): string[] => Array.from({ length: count }, (_, index) => `${role}${index + 1}`);
  return {
    trackers: names("tracker", nodes.trackers),
    allocators: names("allocator", nodes.allocators),
    catalogs: names("catalog", nodes.catalogs),
    storages: names("storage", nodes.storages),
    gateways: names("gateway", nodes.gateways),
    clients: names("client", nodes.clients),
  };
}

export function serversOf({ trackers, allocators, catalogs, storages, gateways }: Topology): string[] {
  return [...trackers, ...allocators, ...catalogs, ...storages, ...gateways];
}
