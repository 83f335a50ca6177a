/** One run of a command: its context, the options every command has, and a client made from them. */
import type { Command } from "commander";
import { TroupeClient } from "../client/troupe-client.ts";
import type { CommandContext } from "./context.ts";

export const GATEWAY_DEFAULT = "http://127.0.0.1:8080";

export interface GlobalOptions {
  readonly gateway?: string;
  readonly token?: string;
  readonly json?: boolean;
}

export interface Session {
  readonly context: CommandContext;
  readonly json: boolean;
  readonly gateway: string;
  /** What to put before other arguments so that a command in a hint reaches the same gateway. */
  readonly gatewayFlag: string;
  /** The command as it can be typed again: `npx troupe` where npm has started it. */
  readonly program: string;
  /** Made when first asked for. @throws {TroupeError} `SETTING_INVALID` */
  readonly client: TroupeClient;
  /** The value of `--token` or `TROUPE_TOKEN`. */
  readonly token: string | undefined;
}

/** What a command does. Its words come as they were given; a thrown error ends it. */
export type Work<Options> = (session: Session, words: readonly string[], options: Options) => Promise<void>;

/** Adds one command to the program. */
export type Definition = (program: Command, act: <Options>(work: Work<Options>) => (this: Command) => Promise<void>) => void;

/** One of them is set by every npm and npx. */
const NPM_MARKS = ["npm_execpath", "npm_lifecycle_event", "npm_command"];

/** As a shell reads it back. */
export function quoted(word: string): string {
  return /^[\w./:@%+=,-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`;
}

/** `nas:8080` is an address, too. */
function withScheme(gateway: string): string {
  return /^(?:[\w.-]+|\[[\da-f:]+\]):\d{1,5}(?:\/|$)/i.test(gateway) ? `http://${gateway}` : gateway;
}

export function openSession(context: CommandContext, options: GlobalOptions): Session {
  const { environment, http, clock } = context;
  const gateway = withScheme(options.gateway ?? (environment["TROUPE_GATEWAY"] || GATEWAY_DEFAULT));
  const token = options.token ?? environment["TROUPE_TOKEN"];
  let client: TroupeClient | undefined;
  return {
    context,
    json: options.json === true,
    gateway,
    gatewayFlag: options.gateway === undefined ? "" : `--gateway ${quoted(options.gateway)} `,
    program: NPM_MARKS.some((name) => environment[name] !== undefined) ? "npx troupe" : "troupe",
    token,
    get client() {
      client ??= new TroupeClient({ http, clock, gateway, token });
      return client;
    },
  };
}
