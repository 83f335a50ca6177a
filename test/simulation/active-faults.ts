/** Faults that something outside of the processes (a server, say) has now, by kind. Of several of one kind the one that began last counts. */
import type { Fault } from "./fault.ts";
import type { RandomStream } from "./random-streams.ts";
import type { World } from "./world.ts";

export class ActiveFaults {
  readonly #world: World;
  readonly #name: string;
  readonly #active = new Map<string, Fault[]>();
  readonly #streams = new Map<Fault | string, RandomStream>();

  /** @param name of what has the faults: the component of their random streams */
  constructor(world: World, name: string) {
    this.#world = world;
    this.#name = name;
  }

  begin(fault: Fault): void {
    const others = this.#active.get(fault.kind);
    if (others === undefined) this.#active.set(fault.kind, [fault]);
    else others.push(fault);
  }

  end(fault: Fault): void {
    const left = (this.#active.get(fault.kind) ?? []).filter((other) => other !== fault);
    if (left.length === 0) this.#active.delete(fault.kind);
    else this.#active.set(fault.kind, left);
  }

  of(kind: string): Fault | undefined {
    return this.#active.size === 0 ? undefined : this.#active.get(kind)?.at(-1);
  }

  /** Whether a fault of the kind takes effect now; it is counted then. Each says as `probability` how likely that is. */
  hits(kind: string): boolean {
    const fault = this.of(kind);
    if (fault === undefined || !this.stream(kind).chance(Number(fault.with["probability"]))) return false;
    this.count(kind);
    return true;
  }

  count(kind: string): void {
    this.#world.counts.add(`fault.${kind}`);
  }

  /** Of details of the fault of this kind that counts now: each has its own. Of what comes of them after their end, one of the kind. */
  stream(kind: string): RandomStream {
    const fault = this.of(kind);
    const owner = fault ?? kind;
    let stream = this.#streams.get(owner);
    if (stream === undefined) {
      stream = this.#world.random.stream(this.#name, fault === undefined ? `fault ${kind}` : `fault ${kind}@${fault.atMs}`);
      this.#streams.set(owner, stream);
    }
    return stream;
  }
}
