/** One life of one client: a process with the client's own code, a disk, and the way to the gateways. */
import { BegunUploads } from "../../../src/client/begun-uploads.ts";
import type { UploaderPorts } from "../../../src/client/uploader.ts";
import type { HttpClient } from "../../../src/core/ports/http-exchange.ts";
import type { Token } from "../../../src/gateway/owner-keys.ts";
import { InlineHasher } from "../../support/inline-hasher.ts";
import type { SimulatedDisk } from "../disk/simulated-disk.ts";
import type { SimulatedNetwork } from "../network/simulated-network.ts";
import type { SimulatedProcess } from "../simulated-process.ts";
import type { World } from "../world.ts";
import type { History } from "./history.ts";
import { HOME, HomeDisk } from "./home-disk.ts";
import type { Disks } from "./witness/excuses.ts";

/** What clients need of a cluster. */
export interface Surroundings {
  readonly world: World;
  readonly network: Pick<SimulatedNetwork, "client">;
  readonly topology: { readonly gateways: readonly string[] };
  readonly disks: Disks;
  gatewayUrl(name: string): string;
  /** The life a process has now. */
  life(name: string): SimulatedProcess | undefined;
  beginLife(name: string): SimulatedProcess;
}

export interface ClientOptions {
  readonly surroundings: Surroundings;
  readonly process: SimulatedProcess;
  readonly disk: SimulatedDisk;
  readonly history: History;
  readonly token: Token;
}

export class SimulatedClient {
  readonly process: SimulatedProcess;
  readonly surroundings: Surroundings;
  readonly history: History;
  readonly token: Token;
  /** Not seen by the witness. */
  readonly http: HttpClient;
  readonly ports: UploaderPorts;
  /** What it may go on with after its death. */
  readonly begun: BegunUploads;

  constructor({ surroundings, process, disk, history, token }: ClientOptions) {
    this.process = process;
    this.surroundings = surroundings;
    this.history = history;
    this.token = token;
    this.http = surroundings.network.client(process);
    const home = new HomeDisk(disk.mount(process));
    const { clock, random } = process;
    this.ports = { clock, random, disk: home, hasher: new InlineHasher(home) };
    this.begun = new BegunUploads({ disk: home, clock }, `${HOME}/begun`);
  }

  get world(): World {
    return this.surroundings.world;
  }
}
