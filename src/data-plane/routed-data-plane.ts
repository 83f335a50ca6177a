/**
 * The data plane of a gateway in a cluster: to a node in the same process directly, to any other over HTTP, and over the bus where it
 * cannot be connected to.
 *
 * R1: another way is tried only when nothing has reached the node and a chunk's body is untouched; what a node answered is the answer.
 * R2: an address that could not be connected to is left alone for a while, so that not every request waits for it, and then tried again.
 */
import { LRUCache } from "lru-cache";
import { BUS_ROUTE_KEPT_MS, BUS_ROUTES_KEPT } from "../core/limits.ts";
import type { Log } from "../core/log.ts";
import type { ByteStream } from "../core/ports/byte-stream.ts";
import type { Clock } from "../core/ports/clock.ts";
import type { BlobRange, ChunkBody, ChunkStored, DataAccess, DataPlane, UploadRange } from "../core/ports/data-plane.ts";
import { isUnconnected } from "./host-unavailable.ts";
import type { LocalDataPlane } from "./local-data-plane.ts";

export interface DataRoutes {
  readonly local: LocalDataPlane;
  readonly direct: DataPlane;
  readonly bus: DataPlane;
}

export interface RoutedDataPlanePorts {
  readonly clock: Clock;
  readonly log: Log;
}

export class RoutedDataPlane implements DataPlane {
  readonly #routes: DataRoutes;
  readonly #log: Log;
  /** Addresses nobody could be connected to, by node. */
  readonly #unconnected: LRUCache<string, { readonly url: string }>;

  constructor(routes: DataRoutes, { clock, log }: RoutedDataPlanePorts) {
    this.#routes = routes;
    this.#log = log;
    this.#unconnected = new LRUCache({
      max: BUS_ROUTES_KEPT,
      ttl: BUS_ROUTE_KEPT_MS,
      // A resolution of 0 asks our clock every time; any other would start timers of its own.
      ttlResolution: 0,
      perf: { now: () => clock.nowMs() },
    });
  }

  async storeChunk(access: DataAccess, chunk: ChunkBody): Promise<ChunkStored> {
    return await this.#route(access, (plane) => plane.storeChunk(access, chunk));
  }

  async readBlob(access: DataAccess, range: BlobRange, signal?: AbortSignal): Promise<ByteStream> {
    return await this.#route(access, (plane) => plane.readBlob(access, range, signal));
  }

  async readUpload(access: DataAccess, range: UploadRange, signal?: AbortSignal): Promise<ByteStream> {
    return await this.#route(access, (plane) => plane.readUpload(access, range, signal));
  }

  async #route<Outcome>(access: DataAccess, attempt: (plane: DataPlane) => Promise<Outcome>): Promise<Outcome> {
    const { local, direct, bus } = this.#routes;
    const { nodeId, url } = access;
    if (local.has(nodeId)) return await attempt(local);
    // R2. A node that has started anew may have another address, of which nothing is known.
    if (url === undefined || this.#unconnected.get(nodeId)?.url === url) return await attempt(bus);
    try {
      return await attempt(direct);
    } catch (error) {
      // R1
      if (!isUnconnected(error)) throw error;
      this.#unconnected.set(nodeId, { url });
      return await this.#overBus(access, error, attempt);
    }
  }

  async #overBus<Outcome>(access: DataAccess, reason: unknown, attempt: (plane: DataPlane) => Promise<Outcome>): Promise<Outcome> {
    try {
      const outcome = await attempt(this.#routes.bus);
      this.#log.info(
        { nodeId: access.nodeId, url: access.url, err: reason },
        "A node cannot be connected to; bytes go over the bus, which is slower.",
      );
      return outcome;
    } catch (error) {
      // Neither way: that it cannot be connected to says more, for it names the address.
      throw isUnconnected(error) ? reason : error;
    }
  }
}
