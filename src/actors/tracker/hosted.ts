/** A tracker on a bus with others: it enters the queue group when it knows who is there, and is never asked before. */
import type { HostedActor, HostPorts } from "../../bus/actor.ts";
import { client } from "../../bus/client.ts";
import { host } from "../../bus/host.ts";
import type { Bus } from "../../core/ports/bus.ts";
import { startTracker, type TrackerOptions } from "./actor.ts";
import { tracker } from "./contract.ts";

export interface HostedTrackerOptions extends Omit<TrackerOptions, "peers" | "onKnowing"> {
  /** No other tracker and no node can be there before this one: there is nobody to ask and nothing to wait for. */
  readonly isAlone?: boolean;
}

/**
 * Resolves when the tracker answers: at once when it is alone or another one told it who is there, else after a heartbeat and a half.
 * @throws {TroupeError} `BUS_UNAVAILABLE`, and what the database gives; nothing is left running then
 */
export async function hostTracker(bus: Bus, ports: HostPorts, options: HostedTrackerOptions): Promise<HostedActor> {
  const { isAlone = false, ...rest } = options;
  if (isAlone) return await host(bus, tracker, {}, ports, startTracker(rest));
  const knowing = Promise.withResolvers<void>();
  const start = startTracker({ ...rest, peers: client(bus, tracker), onKnowing: knowing.resolve });
  const hosted = await host(bus, tracker, {}, ports, start, { joinQueueLater: true });
  await knowing.promise;
  hosted.joinQueue();
  return hosted;
}
