/**
 * A fault as a plan names it, and what a kind of fault can do. Plans are JSON: every fault says all about itself, so one can be taken
 * away without changing the others.
 */
import type { Cluster } from "./cluster.ts";
import type { RandomStream } from "./random-streams.ts";

export type FaultValue = number | string | boolean;

export interface Fault {
  /** Of its {@link FaultKind}: `bus.loss`. */
  readonly kind: string;
  /** When it begins, in simulated milliseconds since the world began. */
  readonly atMs: number;
  /** How long it lasts; 0 for what happens at once. All faults are over when the world heals. */
  readonly forMs: number;
  /** Whom it hits and how hard. */
  readonly with: Readonly<Record<string, FaultValue>>;
}

/** Names of processes by role. */
export interface Topology {
  readonly trackers: readonly string[];
  readonly allocators: readonly string[];
  readonly catalogs: readonly string[];
  readonly storages: readonly string[];
  readonly gateways: readonly string[];
  readonly clients: readonly string[];
}

export interface FaultKind {
  /** `disk.full`; counted as `fault.disk.full` each time it takes effect, by whatever it hits. */
  readonly kind: string;
  /** How often it is drawn compared with others; 1 is usual. */
  readonly weight: number;
  draw(random: RandomStream, topology: Topology): Pick<Fault, "forMs" | "with">;
  begin(cluster: Cluster, fault: Fault): void;
  /** Takes back what {@link begin} did; also called when the world heals. Absent for what happens at once. */
  end?(cluster: Cluster, fault: Fault): void;
}
