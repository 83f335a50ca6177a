/**
 * The command line of a server process (`npm start`, `npm run node`): flags made from the table of settings, `--help` with examples,
 * and options that npm kept for itself noticed instead of lost.
 */
import { Command, CommanderError } from "commander";
import { TroupeError } from "../core/errors.ts";
import { CONFIG_FILE, environmentVariable, SETTING_NAMES, SETTINGS, type Setting } from "./setting-table.ts";
import { type ResolvedSettings, resolveSettings, type SettingSources } from "./settings.ts";

export interface ServerCommandSources extends Omit<SettingSources, "flags"> {
  /** Without the program and the script: `process.argv.slice(2)`. */
  readonly argv: readonly string[];
  /** Of this package, for `--version`. */
  readonly version: string;
}

/** What the process is to do. `print` goes to stdout and ends with 0; `refuse` goes to stderr and ends with 2. */
export type ServerCommand =
  | { readonly kind: "serve"; readonly resolved: ResolvedSettings }
  | { readonly kind: "print"; readonly text: string }
  | { readonly kind: "refuse"; readonly text: string };

const SECRET_FILES = SETTING_NAMES.map((name) => SETTINGS[name] as Setting<unknown>)
  .filter(({ isSecret, flag }) => isSecret && flag !== "token")
  .map(({ flag }) => `${environmentVariable(flag)}_FILE`);

const EXAMPLES = `
Each option may also be set in the environment or in the configuration file, in that order of precedence:
  --data-port 9001      TROUPE_DATA_PORT=9001      { "dataPort": 9001 }
Everybody on this machine can see a command line, so a secret is better kept in a file of its own:
  TROUPE_TOKEN_FILE=/run/secrets/troupe (one owner:secret a line), likewise
  ${SECRET_FILES.join(", ")}
After 'npm start' and 'npm run node', options follow two dashes, or npm keeps them for itself.

Examples:
  npm start                                        everything, on http://127.0.0.1:8080, in ./data
  npm start -- --port 9000 --data /srv/troupe      another port, another place
  npm start -- --host 0.0.0.0 --token alice:…       for other machines as well
  npm start -- --host 0.0.0.0 --tls-cert cert.pem --tls-key key.pem --token alice:…
                                                   the same, by https
  npm start -- --idle-expiry 7d --max-file 500GB   other limits
  npm start -- --nats local                        with a bus that the NATS CLI can ask
  npm run cluster                                  a whole cluster on this machine
  npm run node -- --role storage --group group001 --host 10.0.0.5 --nats nats://storage:…@bus:4222
                                                   one storage node of a cluster
  npx troupe config print                          what is in effect, and where it was set
`;

/** Never throws for what a user may give. */
export function parseServerCommand(sources: ServerCommandSources): ServerCommand {
  const swallowed = swallowedByNpm(sources.environment, sources.argv);
  if (swallowed !== undefined) return { kind: "refuse", text: `${swallowed}\n` };
  let printed = "";
  let refused = "";
  const command = new Command(`${commandOf(sources.environment["npm_lifecycle_event"])} --`)
    .description("Runs a Troupe server: a store for large files and media.")
    .usage("[options]")
    .version(sources.version, "--version", "print the version")
    .helpOption("-h, --help", "print this")
    .allowExcessArguments(false)
    .exitOverride()
    .configureOutput({ writeOut: (text) => void (printed += text), writeErr: (text) => void (refused += text) })
    .addHelpText("after", EXAMPLES);
  addServerOptions(command, sources.hostname);
  try {
    command.parse([...sources.argv], { from: "user" });
    return { kind: "serve", resolved: resolveSettings({ ...sources, flags: command.opts() }) };
  } catch (error) {
    if (error instanceof CommanderError) {
      return error.exitCode === 0 ? { kind: "print", text: printed } : { kind: "refuse", text: `${refused.trim()}\nSee --help.\n` };
    }
    if (error instanceof TroupeError && error.code === "SETTING_INVALID") {
      const problems = error.facts["problems"] as readonly string[];
      return { kind: "refuse", text: `${problems.join("\n")}\n` };
    }
    throw error;
  }
}

/** Adds a flag for each setting (but those named) and `--config` to a command. Defaults are shown and left to `resolveSettings`. */
export function addServerOptions(command: Command, hostname: string, except: readonly string[] = []): void {
  command.option(`--${CONFIG_FILE.flag} <file>`, `${CONFIG_FILE.help} (default: ${CONFIG_FILE.path}, if it is there)`);
  for (const name of SETTING_NAMES) {
    const setting = SETTINGS[name] as Setting<unknown>;
    if (except.includes(setting.flag)) continue;
    if (setting.isSwitch) {
      command.option(`--${setting.flag}`, setting.help);
      continue;
    }
    const initial = setting.initial({ hostname })[0];
    const help = setting.help + (initial === undefined ? "" : ` (default: ${initial})`) + (setting.isRepeatable ? "; may be repeated" : "");
    const option = command.createOption(`--${setting.flag} <${setting.argument}>`, help);
    if (setting.isRepeatable) option.argParser((text: string, before: readonly string[] | undefined) => [...(before ?? []), text]);
    command.addOption(option);
  }
}

/**
 * `npm start --port 9000` reaches us as `npm_config_port=true` and a stray `9000`, or as `npm_config_port=9000`, and the server would
 * start on the wrong port in silence.
 */
export function swallowedByNpm(environment: Readonly<Record<string, string | undefined>>, argv: readonly string[]): string | undefined {
  const script = environment["npm_lifecycle_event"];
  if (script === undefined) return undefined;
  const settings = SETTING_NAMES.map((name) => SETTINGS[name] as Setting<unknown>);
  const flags = [CONFIG_FILE.flag, ...settings.map(({ flag }) => flag)];
  const kept = flags.filter((flag) => environment[npmVariable(flag)] !== undefined);
  if (kept.length === 0) return undefined;
  const secrets = new Map(settings.filter(({ isSecret }) => isSecret).map(({ flag, argument }) => [flag, argument]));
  const switches = new Set(settings.filter(({ isSwitch }) => isSwitch).map(({ flag }) => flag));
  const written = kept.map((flag) => {
    const value = environment[npmVariable(flag)] as string;
    if (switches.has(flag)) return `--${flag}`;
    if (secrets.has(flag)) return `--${flag} ${secrets.get(flag)}`;
    if (value !== "true" && value !== "") return `--${flag} ${value}`;
    return `--${flag} ${kept.length === 1 && argv.length === 1 ? argv[0] : "…"}`;
  });
  return `npm kept ${kept.map((flag) => `--${flag}`).join(", ")} for itself. Write two dashes before the options: ${commandOf(script)} -- ${written.join(" ")}`;
}

/** How it was started: by a script of npm's, or by hand, which is told like the script most people use. */
function commandOf(script = "start"): string {
  return script === "start" ? "npm start" : `npm run ${script}`;
}

function npmVariable(flag: string): string {
  // npm takes --token for the beginning of an option of its own.
  return flag === "token" ? "npm_config_token_description" : `npm_config_${flag.replaceAll("-", "_")}`;
}
