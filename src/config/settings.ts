/**
 * The settings a server starts with: flag over environment over configuration file over default.
 *
 * S1: the answer depends on the arguments only; files are read through `readFile`.
 * S2: every fault is found in one go and told in words that name the place it came from; no secret is in them.
 * S3: an unknown key of the configuration file is a fault. An unknown `TROUPE_` variable is a warning: an environment is shared, and
 *     container platforms put variables of their own into it.
 */
import { resolve } from "node:path";
import { TroupeError, toTroupeError } from "../core/errors.ts";
import { withoutPassword } from "./engine-url.ts";
import {
  CONFIG_FILE,
  configKey,
  environmentVariable,
  isLoopback,
  ROLES,
  type Role,
  rolesText,
  SETTING_NAMES,
  SETTINGS,
  type ServerSettings,
  type Setting,
  type SettingName,
  type Surroundings,
} from "./setting-table.ts";

export interface SettingSources extends Surroundings {
  /** As given on the command line, by configuration key: `{ dataPort: "0", token: ["a:b"], publicRead: true }`. */
  readonly flags: Readonly<Record<string, string | readonly string[] | true | undefined>>;
  readonly environment: Readonly<Record<string, string | undefined>>;
  readonly workingDirectory: string;
  /** The text of a file, or `undefined` when there is none. May throw; the message is told. */
  readonly readFile: (path: string) => string | undefined;
}

/** One setting as `troupe config print` shows it. */
export interface SettingReport {
  readonly key: string;
  readonly flag: string;
  /** Without secrets. */
  readonly value: string;
  /** `--port`, `TROUPE_PORT`, the configuration file's path, or `default`. */
  readonly from: string;
}

export interface ResolvedSettings {
  readonly settings: ServerSettings;
  readonly reports: readonly SettingReport[];
  /** Sentences to be shown, not reasons to stop. */
  readonly warnings: readonly string[];
  /** The configuration file that was read. */
  readonly configFile: string | undefined;
}

interface Given {
  readonly texts: readonly string[];
  readonly from: string;
}

/** Settings that name a file or a folder, from where the process was started. */
const PATHS: readonly SettingName[] = ["dataDirectory", "natsCredentials", "tlsCertificate", "tlsKey"];
/** Variables that the command-line client reads, which are nobody's mistake. */
const CLIENT_VARIABLES = ["TROUPE_GATEWAY", "TROUPE_OWNER"];
/** Those that nats-server reads with deploy/nats.conf, one for each of its users. */
const BUS_PASSWORD = /^TROUPE_NATS_[A-Z]+_PASSWORD$/;

/** @throws {TroupeError} `SETTING_INVALID`; `facts.problems` lists all of them, one sentence each */
export function resolveSettings(sources: SettingSources): ResolvedSettings {
  const problems: string[] = [];
  const file = readConfigFile(sources, problems);
  const values: Partial<Record<SettingName, unknown>> = {};
  const reports: SettingReport[] = [];
  for (const name of SETTING_NAMES) {
    const setting = SETTINGS[name] as Setting<unknown>;
    const given = find(setting, sources, file, problems);
    try {
      const value = setting.parse(given.texts);
      values[name] = PATHS.includes(name) && value !== undefined ? resolve(sources.workingDirectory, value as string) : value;
      reports.push({ key: configKey(setting.flag), flag: `--${setting.flag}`, value: setting.show(values[name]), from: given.from });
    } catch (error) {
      problems.push(fault(setting, given, toTroupeError(error)));
    }
  }
  if (problems.length === 0) problems.push(...contradictions(values as ServerSettings));
  if (problems.length > 0) throw new TroupeError("SETTING_INVALID", problems.join(" "), { facts: { problems } });
  const settings = values as ServerSettings;
  const warnings = [...unknownVariables(sources.environment), ...tokensInTheClear(settings)];
  return { settings, reports, warnings, configFile: file?.path };
}

/** Where a setting's value comes from: the first place that has one. */
function find(setting: Setting<unknown>, sources: SettingSources, file: ConfigFile | undefined, problems: string[]): Given {
  const key = configKey(setting.flag);
  const flag = sources.flags[key];
  if (flag !== undefined) return { texts: typeof flag === "object" ? flag : [String(flag)], from: `--${setting.flag}` };
  const variable = findVariable(setting, sources, problems);
  if (variable !== undefined) return variable;
  const value = file?.values.get(key);
  if (file !== undefined && value !== undefined) return { texts: value, from: file.path };
  return { texts: setting.initial(sources), from: "default" };
}

function findVariable(setting: Setting<unknown>, sources: SettingSources, problems: string[]): Given | undefined {
  const name = environmentVariable(setting.flag);
  const direct = sources.environment[name];
  const pathVariable = `${name}_FILE`;
  const path = setting.isSecret ? sources.environment[pathVariable] : undefined;
  if (direct !== undefined && path !== undefined) problems.push(`${name} and ${pathVariable} are both set; keep one.`);
  if (direct !== undefined) return { texts: split(setting, direct), from: name };
  if (path === undefined) return undefined;
  const text = readText(sources, path, `${pathVariable} names ${path}`, problems);
  return { texts: split(setting, (text ?? "").trim()), from: pathVariable };
}

/** Several values in one text are separated by white space, which neither a token nor an origin holds. */
function split(setting: Setting<unknown>, text: string): string[] {
  return setting.isRepeatable ? text.split(/\s+/).filter((word) => word !== "") : [text];
}

interface ConfigFile {
  readonly path: string;
  readonly values: ReadonlyMap<string, readonly string[]>;
}

function readConfigFile(sources: SettingSources, problems: string[]): ConfigFile | undefined {
  const flag = sources.flags[CONFIG_FILE.flag];
  const named = (typeof flag === "object" ? flag.at(-1) : flag?.toString()) ?? sources.environment[CONFIG_FILE.variable];
  const path = resolve(sources.workingDirectory, named ?? CONFIG_FILE.path);
  const text = named === undefined ? readOptional(sources, path, problems) : readText(sources, path, `--config names ${path}`, problems);
  if (text === undefined) return undefined;
  let content: unknown;
  try {
    content = JSON.parse(text);
  } catch {
    // The parser's message quotes the text, which may hold a token.
    problems.push(`${path} is not valid JSON.`);
    return undefined;
  }
  if (typeof content !== "object" || content === null || Array.isArray(content)) {
    problems.push(`${path} does not hold a JSON object of settings.`);
    return undefined;
  }
  return { path, values: readValues(path, content as Record<string, unknown>, problems) };
}

function readValues(path: string, content: Record<string, unknown>, problems: string[]): Map<string, readonly string[]> {
  const byKey = new Map(SETTING_NAMES.map((name) => [configKey(SETTINGS[name].flag), SETTINGS[name] as Setting<unknown>]));
  const values = new Map<string, readonly string[]>();
  for (const [key, value] of Object.entries(content)) {
    const setting = byKey.get(key);
    const items = Array.isArray(value) ? value : [value];
    if (setting === undefined) {
      problems.push(
        `${path} sets ${JSON.stringify(key.slice(0, 64))}, which is not a setting; the settings are ${[...byKey.keys()].join(", ")}.`,
      );
    } else if (!items.every((item) => ["string", "number", setting.isSwitch ? "boolean" : "string"].includes(typeof item))) {
      problems.push(`${path} sets ${key} to something that is neither text nor a number.`);
    } else {
      values.set(key, items.map(String));
    }
  }
  return values;
}

function readText(sources: SettingSources, path: string, what: string, problems: string[]): string | undefined {
  try {
    const text = sources.readFile(resolve(sources.workingDirectory, path));
    if (text === undefined) problems.push(`${what}, and there is no such file.`);
    return text;
  } catch (error) {
    problems.push(`${what}, and it cannot be read: ${error instanceof Error ? error.message : String(error)}.`);
    return undefined;
  }
}

function readOptional(sources: SettingSources, path: string, problems: string[]): string | undefined {
  try {
    return sources.readFile(path);
  } catch (error) {
    problems.push(`${path} cannot be read: ${error instanceof Error ? error.message : String(error)}.`);
    return undefined;
  }
}

function fault(setting: Setting<unknown>, given: Given, error: TroupeError): string {
  const shown = setting.isSecret ? "" : ` ${JSON.stringify(withoutPassword(given.texts.join(" ")).slice(0, 80))}`;
  const where = given.from === "default" || given.from.startsWith("--") ? "" : ` (from ${given.from})`;
  return `--${setting.flag}${shown}${where}: ${error.detail.replace(/\.$/, "")}.`;
}

/** Settings that are fine alone and not together. */
function contradictions(settings: ServerSettings): string[] {
  const found = [...missingEngines(settings)];
  const hasGateway = settings.roles.includes("gateway");
  if (hasGateway && settings.tokens.length === 0 && !isLoopback(settings.host)) {
    found.push(
      `--host ${settings.host} would let everyone who reaches this machine read and delete every file: give --token owner:secret as well, or listen on 127.0.0.1.`,
    );
  }
  if (!hasGateway && settings.metricsPort !== undefined && settings.tokens.length === 0 && !isLoopback(settings.host)) {
    found.push(
      `--metrics-port on --host ${settings.host} would tell everyone who reaches this machine how it is: give --token owner:secret as well, or listen on 127.0.0.1.`,
    );
  }
  if ((settings.tlsCertificate === undefined) !== (settings.tlsKey === undefined)) {
    found.push(`--tls-cert and --tls-key belong together: give ${settings.tlsKey === undefined ? "--tls-key" : "--tls-cert"} as well.`);
  }
  if (settings.tlsCertificate !== undefined && settings.publicUrl?.startsWith("http:")) {
    found.push("--public-url begins with http:// and the gateway serves https: users would be given addresses that do not answer.");
  }
  if (settings.offlineAfterMs <= 2 * settings.heartbeatMs) {
    found.push("--offline-after is not more than twice --heartbeat: one lost heartbeat would make a node count as offline.");
  }
  return found;
}

/** A sentence for whoever listens for other machines and has tokens sent without encryption; none otherwise. */
export function tokensInTheClear({ roles, host, tokens, tlsCertificate, trustProxy, publicUrl }: ServerSettings): string[] {
  const isBehindTls = tlsCertificate !== undefined || trustProxy || publicUrl?.startsWith("https:") === true;
  if (!roles.includes("gateway") || tokens.length === 0 || isLoopback(host) || isBehindTls) return [];
  return [
    `Tokens cross the network unencrypted: the gateway listens on ${host} by plain HTTP, where whoever is on the way can read them. Give --tls-cert and --tls-key, or put a proxy with TLS before it (--public-url https://…, --trust-proxy).`,
  ];
}

/** Roles apart meet on a bus and in a database. */
function missingEngines({ roles, nats, natsCredentials, mysql, host, advertise }: ServerSettings): string[] {
  const found: string[] = [];
  const isPart = roles.length < ROLES.length;
  const role = `--role ${rolesText(roles)}`;
  if (isPart && nats === undefined) {
    found.push(
      `${role} plays with other processes, which meet on NATS, and there is no --nats: give its address, such as --nats nats://user:password@host:4222, also as TROUPE_NATS or in a file named by TROUPE_NATS_FILE.`,
    );
  } else if (isPart && nats === "local") {
    found.push(
      `${role} plays with other processes, and --nats local is for this one alone: give the address of a server that all of them reach.`,
    );
  }
  if (isPart && mysql === undefined && roles.some((name) => DATABASE_ROLES.includes(name))) {
    found.push(
      `${role} shares its database with other processes, and there is no --mysql: give its address, such as --mysql mysql://user:password@host:3306, also as TROUPE_MYSQL or in a file named by TROUPE_MYSQL_FILE.`,
    );
  }
  if (natsCredentials !== undefined && (nats === undefined || nats === "local"))
    found.push("--nats-creds is for a server that --nats names, and none is named.");
  if (nats !== undefined && nats !== "local" && roles.includes("storage") && isWildcard(host) && advertise === undefined) {
    found.push(
      `--host ${host} is every address of this machine: say with --advertise at which one other machines reach this node's data, such as --advertise 10.0.0.5 (or none: bytes then travel over the bus).`,
    );
  }
  return found;
}

const DATABASE_ROLES: readonly Role[] = ["tracker", "ids", "catalog"];

function isWildcard(host: string): boolean {
  return host === "0.0.0.0" || host === "::";
}

function unknownVariables(environment: Readonly<Record<string, string | undefined>>): string[] {
  const known = new Set<string>([CONFIG_FILE.variable, ...CLIENT_VARIABLES]);
  for (const name of SETTING_NAMES) {
    const variable = environmentVariable(SETTINGS[name].flag);
    known.add(variable);
    if (SETTINGS[name].isSecret) known.add(`${variable}_FILE`);
  }
  return Object.keys(environment)
    .filter((name) => name.startsWith("TROUPE_") && !known.has(name) && !BUS_PASSWORD.test(name))
    .sort()
    .map((name) => `The environment has ${name}, which is not a setting of this version; it is ignored.`);
}
