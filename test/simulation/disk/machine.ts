/** For tests of the disk: a machine with one process, which dies and is begun again. */
import { readFully, writeFully } from "../../../src/core/durable.ts";
import type { Disk, OpenMode } from "../../../src/core/ports/disk.ts";
import { PassingTime } from "../passing-time.ts";
import { type Death, SimulatedProcess } from "../simulated-process.ts";
import { World } from "../world.ts";
import { SimulatedDisk } from "./simulated-disk.ts";

export const ROOT = "/data";

export class Machine {
  readonly world: World;
  readonly time: PassingTime;
  readonly simulated: SimulatedDisk;
  process: SimulatedProcess;
  /** Of the life it has now. */
  disk: Disk;

  constructor(seed = 1, totalBytes?: number) {
    this.world = new World(seed);
    this.time = new PassingTime(this.world);
    this.simulated = new SimulatedDisk(this.world, "storage1", ROOT, totalBytes);
    this.process = new SimulatedProcess(this.world, "storage1", 1);
    this.disk = this.mount();
  }

  /** One more handle for the life it has; time passes while somebody waits for it. */
  mount(): Disk {
    const disk = this.time.around(this.simulated.mount(this.process));
    return new Proxy(disk, {
      get: (target, key) =>
        key === "open"
          ? async (path: string, mode: OpenMode) => this.time.around(await target.open(path, mode))
          : (Reflect.get(target, key) as unknown),
    });
  }

  /** It ends, and the next life begins at once. */
  dies(death: Death): void {
    this.process.die(death);
    this.process = new SimulatedProcess(this.world, "storage1", this.process.life + 1);
    this.disk = this.mount();
  }

  async write(path: string, bytes: Uint8Array, synced: "synced" | "unsynced" = "unsynced"): Promise<void> {
    const file = await this.disk.open(path, (await this.disk.status(path)) === undefined ? "create" : "write");
    await writeFully(file, bytes, 0);
    if (synced === "synced") await file.sync();
    await file.close();
  }

  /** `undefined` when there is no such file. */
  async read(path: string): Promise<Uint8Array | undefined> {
    const status = await this.disk.status(path);
    if (status === undefined) return undefined;
    const file = await this.disk.open(path, "read");
    const bytes = new Uint8Array(status.sizeBytes);
    await readFully(file, bytes, 0);
    await file.close();
    return bytes;
  }

  begin(kind: string, parameters: Readonly<Record<string, number | boolean>> = { probability: 1 }): () => void {
    const fault = { kind, atMs: 0, forMs: 0, with: { storage: "storage1", ...parameters } };
    this.simulated.faults.begin(fault);
    return () => void this.simulated.faults.end(fault);
  }
}
