/**
 * What a command has of the world: text out, the ports, and the machine it runs on. Commands touch nothing else, so that a test runs
 * them in its own process and reads what they said.
 */
import type { Clock } from "../core/ports/clock.ts";
import type { Disk } from "../core/ports/disk.ts";
import type { Hasher } from "../core/ports/hasher.ts";
import type { HttpClient } from "../core/ports/http-exchange.ts";
import type { Random } from "../core/ports/random.ts";

export interface CommandContext {
  readonly terminal: Terminal;
  readonly machine: Machine;
  readonly http: HttpClient;
  /**
   * Speaks to the actors themselves; connects when it is first asked something.
   * @param nats addresses of the bus
   * @param owner whose files and uploads they are
   */
  readonly openActors: (nats: string, owner: string) => Actors;
  readonly clock: Clock;
  readonly random: Random;
  readonly disk: Disk;
  readonly hasher: Hasher;
  readonly environment: Readonly<Record<string, string | undefined>>;
  /** Absolute. */
  readonly workingDirectory: string;
  /** Aborted by Ctrl-C. */
  readonly signal: AbortSignal;
  /** Of this package. */
  readonly version: string;
}

/** A gateway inside this program: the same requests, without a socket between. */
export interface Actors {
  readonly http: HttpClient;
  /** What {@link http} wants its requests to carry. */
  readonly token: string;
  /** Where a gateway of the cluster answers, so that URLs can be printed; `undefined` when there is none. */
  gatewayUrl(): Promise<string | undefined>;
}

export interface Terminal {
  /** To stdout: what the command is asked for, and nothing else. */
  out(text: string): void;
  /** To stdout; resolves when it may take more. */
  outBytes(bytes: Uint8Array): Promise<void>;
  /** To stderr: everything said to a person. */
  err(text: string): void;
  /** stderr is a terminal: a bar may be drawn there. */
  readonly isTerminal: boolean;
  /** Of the terminal, or 80. */
  readonly columns: number;
  /** stdin, read once. */
  input(): AsyncIterable<Uint8Array>;
  openBar(label: string, totalBytes: number): ProgressBar;
}

export interface ProgressBar {
  update(doneBytes: number, note: string): void;
  /** A line of its own above the bar. */
  say(text: string): void;
  /** Wipes its line for somebody else's; the next update draws it again. */
  clear(): void;
  /** Leaves the line as it is. */
  stop(): void;
}

/** The machine, as `troupe doctor`, `troupe play` and settings look at it. */
export interface Machine {
  readonly hostname: string;
  /** `linux`, `darwin`, `win32`, … */
  readonly platform: string;
  /** Of the user; `undefined` where there is none. */
  readonly homeDirectory: string | undefined;
  /** Of this Node: `26.10.0`. */
  readonly nodeVersion: string;
  /** How many files and sockets a process may have open; `undefined` where nobody tells. */
  openFilesMax(): number | undefined;
  /** Whether an address can be listened on; the reason when it cannot. */
  portState(
    host: string,
    port: number,
  ): Promise<{ readonly kind: "free" } | { readonly kind: "taken" } | { readonly kind: "impossible"; readonly reason: string }>;
  /** The text of a settings file, or `undefined` when there is none. Throws when it cannot be read. */
  readFile(path: string): string | undefined;
  /** Where a program is, by its name as a shell looks for it, or by its path. */
  findProgram(name: string): string | undefined;
  /**
   * Runs a program on this terminal; what it writes goes to stderr.
   * @returns its exit code; that of a shell when a signal ended it
   * @throws {TroupeError} `UNAVAILABLE` when it cannot be started
   */
  runProgram(path: string, argv: readonly string[]): Promise<number>;
}
