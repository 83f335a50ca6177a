/**
 * One Redis for all catalogs, as far as the cache uses it: keys that end by the server's own clock, and the two scripts. What stands
 * before it in a process is the cache of production, with its connection, its bounds and its distrust of clocks.
 *
 * Its clock is a wall clock. It is right within a few milliseconds, also after another machine has taken over: catalogs notice a jump
 * that is larger, but one that was started after it could not.
 */
import type { Cache } from "../../../src/core/ports/cache.ts";
import { RedisCache } from "../../../src/store/redis-cache.ts";
import { TOMBSTONE } from "../../../src/store/redis-cache-scripts.ts";
import { ActiveFaults } from "../active-faults.ts";
import type { Fault } from "../fault.ts";
import { SimulatedLog } from "../simulated-log.ts";
import { type SimulatedProcess, WORLD_BEGAN_MS } from "../simulated-process.ts";
import type { World } from "../world.ts";
import { type RedisServer, SimulatedRedisLink } from "./simulated-redis-link.ts";

interface Entry {
  readonly stored: Buffer;
  /** By the server's clock. */
  readonly endsMs: number;
}

const TOMBSTONE_BYTES = Buffer.from(TOMBSTONE);
const NOTHING = Buffer.alloc(0);
/** How far the clock of a machine is from the right time. */
const CLOCK_ERROR_MS = 20;

export class SimulatedCacheServer implements RedisServer {
  readonly faults: ActiveFaults;
  readonly #world: World;
  readonly #links = new Set<SimulatedRedisLink>();
  /** In order of being written; the first ones are the first to end, more or less. */
  #entries = new Map<string, Entry>();
  #clockErrorMs = 0;
  /** What a replica has that has been left behind, by the fault that will make it the server. */
  readonly #replicas = new Map<Fault, Map<string, Entry>>();

  constructor(world: World) {
    this.#world = world;
    this.faults = new ActiveFaults(world, "cache");
  }

  /** For one life of a process; it is used as soon as it can be reached. */
  connect(process: SimulatedProcess): Cache {
    const delays = this.#world.random.stream("cache", `${process.name}#${process.life} delay`);
    const cache = new RedisCache({
      url: "redis://cache:6379",
      open: () => new SimulatedRedisLink(this, process, delays),
      clock: process.clock,
      log: new SimulatedLog(process),
    });
    process.onDeath(() => {
      for (const link of this.#links) if (link.process === process) this.#links.delete(link);
    });
    void cache.start();
    return cache;
  }

  /** Everything is gone. @returns whether there was anything */
  flush(): boolean {
    const count = this.#entries.size;
    this.#entries.clear();
    return count > 0;
  }

  /** Connections are lost, or not answered any more, and no others are made. */
  goAway(fault: Fault): void {
    this.faults.begin(fault);
    this.faults.count(fault.kind);
    if (!this.isSilent) this.#closeLinks();
  }

  /** The replica hears of nothing from now on. */
  leaveReplicaBehind(fault: Fault): void {
    this.#replicas.set(fault, new Map(this.#entries));
  }

  /** The replica takes the place of the server: what was written since it was left behind is gone, and what was there before is back. */
  failOver(fault: Fault): void {
    const replica = this.#replicas.get(fault);
    if (replica === undefined) return;
    this.#replicas.delete(fault);
    if (this.#differs(replica)) this.faults.count(fault.kind);
    this.#entries = replica;
    this.#clockErrorMs = this.faults.stream(fault.kind).between(-CLOCK_ERROR_MS, CLOCK_ERROR_MS);
    this.#closeLinks();
  }

  get isAway(): boolean {
    return this.faults.of("cache.away") !== undefined;
  }

  get isSilent(): boolean {
    return this.faults.of("cache.away")?.with["isSilent"] === true;
  }

  get clockMs(): number {
    return WORLD_BEGAN_MS + this.#world.nowMs + this.#clockErrorMs;
  }

  slownessMs(): number {
    const fault = this.faults.of("cache.slow");
    if (fault === undefined) return 0;
    this.faults.count("cache.slow");
    return this.faults.stream("cache.slow").between(0, Number(fault.with["extraMs"]));
  }

  accept(link: SimulatedRedisLink): void {
    this.#links.add(link);
  }

  forget(link: SimulatedRedisLink): void {
    this.#links.delete(link);
  }

  read(key: string): Buffer {
    const entry = this.#living(key);
    if (entry === undefined) return NOTHING;
    if (!this.faults.hits("cache.evict")) return entry.stored;
    this.#entries.delete(key);
    return NOTHING;
  }

  /** As the script does it: a lease from the future was given by another clock. */
  keep(key: string, leaseMs: number, lifetimeMs: number, stored: Buffer): number {
    const leftMs = leaseMs + lifetimeMs - Math.floor(this.clockMs);
    if (leftMs <= 0 || leftMs > lifetimeMs) return 0;
    if (this.#living(key)?.stored === TOMBSTONE_BYTES) return 0;
    this.#put(key, stored, leftMs);
    return 1;
  }

  bury(key: string, lifetimeMs: number): void {
    this.#put(key, TOMBSTONE_BYTES, lifetimeMs);
  }

  #living(key: string): Entry | undefined {
    const entry = this.#entries.get(key);
    return entry !== undefined && this.clockMs < entry.endsMs ? entry : undefined;
  }

  #put(key: string, stored: Buffer, leftMs: number): void {
    const nowMs = this.clockMs;
    for (const [old, { endsMs }] of this.#entries) {
      if (nowMs < endsMs) break;
      this.#entries.delete(old);
    }
    this.#entries.delete(key);
    this.#entries.set(key, { stored, endsMs: nowMs + leftMs });
  }

  #closeLinks(): void {
    for (const link of [...this.#links]) link.breakOff();
  }

  #differs(replica: ReadonlyMap<string, Entry>): boolean {
    if (replica.size !== this.#entries.size) return true;
    for (const [key, entry] of replica) if (this.#entries.get(key) !== entry) return true;
    return false;
  }
}
