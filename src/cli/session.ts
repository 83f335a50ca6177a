/** One run of a command: its context, the options every command has, and a client made from them. */
import type { Command } from "commander";
import { TroupeClient } from "../client/troupe-client.ts";
import { parseEngineUrl, withoutPassword } from "../config/engine-url.ts";
import { TroupeError } from "../core/errors.ts";
import { LOCAL_PRINCIPAL } from "../core/principal.ts";
import type { CommandContext } from "./context.ts";

export const GATEWAY_DEFAULT = "http://127.0.0.1:8080";

export interface GlobalOptions {
  readonly gateway?: string;
  readonly nats?: string;
  readonly owner?: string;
  readonly token?: string;
  readonly json?: boolean;
}

export interface Session {
  readonly context: CommandContext;
  readonly json: boolean;
  /** Who is asked, in words for a person: the gateway's address, or that of the bus without its password. */
  readonly gateway: string;
  /** What to put before other arguments so that a command in a hint reaches the same gateway, or bus. */
  readonly gatewayFlag: string;
  /** The command as it can be typed again: `npx troupe` where npm has started it. */
  readonly program: string;
  /** Made when first asked for. @throws {TroupeError} `SETTING_INVALID` */
  readonly client: TroupeClient;
  /** The value of `--token`, `TROUPE_TOKEN` or what is in `TROUPE_TOKEN_FILE`. */
  readonly token: string | undefined;
  /** On whose behalf, as far as that is known here: a secret alone does not say. */
  readonly owner: string;
  /** A gateway is asked, and not the actors themselves. */
  readonly hasGateway: boolean;
  /** The file's URL; its ID where no gateway is there to have one. */
  addressOf(file: { readonly fileId: string; readonly url: string }): Promise<string>;
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

/** @throws {TroupeError} `SETTING_INVALID` for options that contradict each other */
export function openSession(context: CommandContext, options: GlobalOptions): Session {
  const { environment } = context;
  const nats = options.nats ?? (options.gateway === undefined ? environment["TROUPE_NATS"] || undefined : undefined);
  const program = NPM_MARKS.some((name) => environment[name] !== undefined) ? "npx troupe" : "troupe";
  const json = options.json === true;
  const token = options.token ?? environment["TROUPE_TOKEN"] ?? tokenInFile(context);
  const common = { context, json, program, token };
  return nats === undefined ? gatewaySession(common, options) : actorsSession(common, options, nats);
}

/** A secret on the command line is seen by everybody on the machine, and one in the environment by the user's programs. */
function tokenInFile({ environment, machine }: CommandContext): string | undefined {
  const path = environment["TROUPE_TOKEN_FILE"];
  if (path === undefined || path === "") return undefined;
  const text = machine.readFile(path);
  if (text === undefined) throw new TroupeError("SETTING_INVALID", `TROUPE_TOKEN_FILE names ${path}, and there is no such file.`);
  return text.trim();
}

type Common = Pick<Session, "context" | "json" | "program" | "token">;

function gatewaySession(common: Common, { gateway: named }: GlobalOptions): Session {
  const { context, token } = common;
  const { http, clock, environment } = context;
  const gateway = withScheme(named ?? (environment["TROUPE_GATEWAY"] || GATEWAY_DEFAULT));
  let client: TroupeClient | undefined;
  return {
    ...common,
    owner: token?.includes(":") === true ? token.slice(0, token.indexOf(":")) : "",
    hasGateway: true,
    gateway,
    gatewayFlag: named === undefined ? "" : `--gateway ${quoted(named)} `,
    get client() {
      client ??= new TroupeClient({ http, clock, gateway, token });
      return client;
    },
    addressOf: async ({ url }) => url,
  };
}

function actorsSession(common: Common, options: GlobalOptions, nats: string): Session {
  const { context } = common;
  const { environment, clock } = context;
  if (options.gateway !== undefined)
    throw new TroupeError("SETTING_INVALID", "--gateway and --nats are two ways to the same store: give one.");
  if (options.token !== undefined)
    throw new TroupeError(
      "SETTING_INVALID",
      "--token is a gateway's; with --nats, the bus knows who you are, and --owner says whose files are meant.",
    );
  parseEngineUrl(nats, ["nats:", "tls:"], "nats://user:password@host:4222", true);
  const gateway = withoutPassword(nats);
  const owner = options.owner ?? (environment["TROUPE_OWNER"] || LOCAL_PRINCIPAL.owner);
  const actors = context.openActors(nats, owner);
  let client: TroupeClient | undefined;
  return {
    ...common,
    token: undefined,
    owner,
    hasGateway: false,
    gateway,
    gatewayFlag: `${options.nats === undefined ? "" : `--nats ${quoted(gateway)} `}${options.owner === undefined ? "" : `--owner ${quoted(options.owner)} `}`,
    get client() {
      client ??= new TroupeClient({ http: actors.http, clock, gateway: "http://localhost", token: actors.token, name: gateway });
      return client;
    },
    addressOf: async ({ fileId, url }) => ((await actors.gatewayUrl()) === undefined ? fileId : url),
  };
}
