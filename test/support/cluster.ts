/**
 * A whole cluster of real processes for one test or one file of tests, in a folder of its own: what `npm run cluster` starts, from the same
 * code. Killed with all it holds when disposed of.
 */
import { readFile } from "node:fs/promises";
import { type Cluster, type ClusterOptions, startCluster as startOn } from "../../src/bin/cluster/cluster.ts";
import type { Member } from "../../src/bin/cluster/member.ts";
import { temporaryDirectory } from "./temporary-directory.ts";

export interface TestCluster extends Cluster, AsyncDisposable {
  /** What each process has and says is below it. */
  readonly directory: string;
  /** What it told in sentences. */
  readonly said: readonly string[];
  /** kill -9 */
  kill(name: string): Promise<void>;
  /** Again, with the same configuration; resolves when it can serve. */
  start(name: string): Promise<void>;
  /** Lines of nats-server's log about what it did not let somebody say or hear. */
  violations(): Promise<string[]>;
}

/** Ready for requests. Takes some seconds: share one among the tests of a file. */
export async function startCluster({ settings = {} }: Pick<ClusterOptions, "settings"> = {}): Promise<TestCluster> {
  const directory = await temporaryDirectory();
  const said: string[] = [];
  try {
    const cluster = await startOn({
      directory: directory.path,
      port: 0,
      say: (sentence) => void said.push(sentence),
      command: (configFile) => `npm run node -- --config ${configFile}`,
      typed: (words) => words.join(" "),
      // Settings of the environment do not reach these processes, and a slow machine is not what a test is about.
      settings: { overloadStall: 0, ...settings },
    });
    const find = (name: string): Member => {
      const member = cluster.processes.get(name);
      if (member === undefined) throw new Error(`${name} is not one of ${[...cluster.processes.keys()].join(", ")}`);
      return member;
    };
    return Object.assign(cluster, {
      directory: directory.path,
      said,
      kill: (name: string) => find(name).kill(),
      start: (name: string) => find(name).start(),
      async violations() {
        const log = await readFile(cluster.engine("nats").logFile, "utf8");
        return log.split("\n").filter((line) => line.includes("Violation"));
      },
      async [Symbol.asyncDispose]() {
        // Nobody needs what it holds.
        cluster.killAll();
        await cluster.stop();
        await directory[Symbol.asyncDispose]();
      },
    });
  } catch (error) {
    await directory[Symbol.asyncDispose]();
    throw error;
  }
}
