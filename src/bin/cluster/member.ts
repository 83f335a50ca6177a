/**
 * One process of the cluster, whatever it runs: started, killed, started again. Nothing is started again by itself, so that whoever kills a
 * part can watch what the others make of it.
 */

/** A process that has begun to serve. */
export interface Running {
  readonly pid: number;
  /** Resolves when it is gone, with how it ended in words. */
  readonly ended: Promise<string>;
  /** Asks it to end, and after a grace makes it. */
  stop(): Promise<void>;
  /** kill -9 */
  kill(): Promise<void>;
}

export interface MemberOptions {
  readonly name: string;
  readonly logFile: string;
  /** Resolves when it serves. */
  readonly start: () => Promise<Running>;
  /** Told when it ends without having been asked to. */
  readonly lost: (pid: number, how: string) => void;
}

export class Member {
  readonly name: string;
  readonly logFile: string;
  readonly #options: MemberOptions;
  #running: Running | undefined;
  #isStopping = false;

  constructor(options: MemberOptions) {
    this.name = options.name;
    this.logFile = options.logFile;
    this.#options = options;
  }

  get isRunning(): boolean {
    return this.#running !== undefined;
  }

  /** Of the process that runs now. */
  get pid(): number | undefined {
    return this.#running?.pid;
  }

  /** Does nothing while it runs. */
  async start(): Promise<void> {
    if (this.#running !== undefined) return;
    this.#isStopping = false;
    const running = await this.#options.start();
    this.#running = running;
    void running.ended.then((how) => {
      if (this.#running === running) this.#running = undefined;
      if (!this.#isStopping) this.#options.lost(running.pid, how);
    });
  }

  async stop(): Promise<void> {
    this.#isStopping = true;
    await this.#running?.stop();
    this.#running = undefined;
  }

  /** kill -9: it counts as lost. */
  async kill(): Promise<void> {
    await this.#running?.kill();
    this.#running = undefined;
  }

  async restart(): Promise<void> {
    await this.stop();
    await this.start();
  }
}
