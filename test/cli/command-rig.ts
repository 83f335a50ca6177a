/** Runs the command line in this process, before a gateway in memory, and keeps what it said. */
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import type { CommandContext, Machine, ProgressBar } from "../../src/cli/context.ts";
import type { ExitCode } from "../../src/cli/exit-code.ts";
import { runCommandLine } from "../../src/cli/program.ts";
import type { Clock } from "../../src/core/ports/clock.ts";
import type { Disk } from "../../src/core/ports/disk.ts";
import type { HttpClient } from "../../src/core/ports/http-exchange.ts";
import { clientRig } from "../client/rig.ts";

export interface Said {
  readonly code: ExitCode;
  readonly out: string;
  readonly err: string;
}

export interface RunOptions {
  readonly environment?: Record<string, string>;
  readonly input?: string | Uint8Array;
  readonly isTerminal?: boolean;
  readonly signal?: AbortSignal;
  readonly machine?: Partial<Machine>;
  readonly disk?: Disk;
  /** Another server than the one in memory, with the clock that its times are by. */
  readonly server?: { readonly http: HttpClient; readonly clock: Clock };
  readonly columns?: number;
  /** Where the cluster behind `--nats` has a gateway. */
  readonly clusterUrl?: string;
}

export async function commandRig() {
  const rig = await clientRig();
  // Inside the directory of the test, so that a file that escapes is still in that one.
  const directory = rig.path("a/b/c");
  await mkdir(directory, { recursive: true });
  const bars: { label: string; totalBytes: number; updates: { doneBytes: number; note: string }[]; stopped: boolean }[] = [];
  const opened: { nats: string; owner: string }[] = [];
  return {
    ...rig,
    opened,
    path: (name: string) => join(directory, name),
    file: (name: string, sizeBytes: number) => rig.file(`a/b/c/${name}`, sizeBytes),
    top: rig.path("."),
    /** Where the commands keep what they have begun. */
    state: rig.path("state"),
    bars,
    directory,
    async run(argv: readonly string[], options: RunOptions = {}): Promise<Said> {
      let out = "";
      let err = "";
      const context: CommandContext = {
        ...rig.ports,
        ...(options.disk === undefined ? {} : { disk: options.disk }),
        http: rig.gateway,
        ...options.server,
        openActors: (nats, owner) => {
          opened.push({ nats, owner });
          return { http: rig.gateway, token: "actors", gatewayUrl: async () => options.clusterUrl };
        },
        environment: { TROUPE_GATEWAY: "http://gateway.test", TROUPE_STATE_DIR: rig.path("state"), ...options.environment },
        workingDirectory: directory,
        signal: options.signal ?? new AbortController().signal,
        version: "1.2.3",
        machine: {
          hostname: "host",
          nodeVersion: "26.0.0",
          platform: "linux",
          homeDirectory: rig.path("home"),
          findProgram: () => undefined,
          runProgram: async () => 0,
          openFilesMax: () => 100_000,
          portState: async () => ({ kind: "free" }),
          readFile: () => undefined,
          ...options.machine,
        },
        terminal: {
          out: (text) => {
            out += text;
          },
          outBytes: async (bytes) => {
            out += Buffer.from(bytes).toString();
          },
          err: (text) => {
            err += text;
          },
          isTerminal: options.isTerminal ?? false,
          columns: options.columns ?? 100,
          input: async function* () {
            yield Buffer.from(options.input ?? "");
          },
          openBar: (label, totalBytes): ProgressBar => {
            const bar = { label, totalBytes, updates: [] as { doneBytes: number; note: string }[], stopped: false };
            bars.push(bar);
            return {
              update: (doneBytes, note) => void bar.updates.push({ doneBytes, note }),
              say: (text) => {
                err += `${text}\n`;
              },
              clear: () => undefined,
              stop: () => {
                bar.stopped = true;
              },
            };
          },
        },
      };
      const code = await runCommandLine(argv, context);
      return { code, out, err };
    },
  };
}
