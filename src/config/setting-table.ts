/**
 * The one table of settings of a server process: what each is called, what it may be, what it is unless set, and one line of help.
 * Flags, environment variables, keys of the configuration file, `--help` and `troupe config print` all follow from it.
 *
 * T1: a setting this version does not act on is not in the table, so that giving it is an error and never silently ignored.
 * T2: the value of a secret is shown nowhere.
 */
import { TroupeError } from "../core/errors.ts";
import { checkIdentity } from "../core/identity.ts";
import {
  DELETE_GRACE_MS_DEFAULT,
  ENDED_LOG_MS_DEFAULT,
  FILE_BYTES_LIMIT,
  FILE_BYTES_MAX_DEFAULT,
  HEARTBEAT_MS_DEFAULT,
  IDLE_EXPIRY_MS_DEFAULT,
  OFFLINE_AFTER_MS_DEFAULT,
  OVERLOAD_STALL_MS_DEFAULT,
  OVERLOAD_STALL_MS_MIN,
  VERIFY_AGE_MS_DEFAULT,
} from "../core/limits.ts";
import { owner as ownerShape } from "../core/shapes.ts";
import { parseAdvertise } from "./advertise.ts";
import { durationText, parseDuration } from "./duration.ts";
import { parseEngineUrl, withoutPassword } from "./engine-url.ts";
import { parseSize, sizeText } from "./size.ts";

export const ROLES = ["tracker", "ids", "catalog", "storage", "gateway"] as const;
export type Role = (typeof ROLES)[number];

export const LOG_LEVELS = ["debug", "info", "warn", "error"] as const;
export type LogLevel = (typeof LOG_LEVELS)[number];

/** A secret, and whose requests those are that carry it. */
export interface OwnerToken {
  readonly owner: string;
  readonly secret: string;
}

/** All settings of one server process, checked. */
export interface ServerSettings {
  readonly roles: readonly Role[];
  /** Absent: made at the first start and kept in the data directory; of a process without a storage node, made at each start. */
  readonly nodeId: string | undefined;
  readonly group: string;
  /** The failure domain: copies in one zone count as one. */
  readonly zone: string;
  /** Absolute. */
  readonly dataDirectory: string;
  readonly host: string;
  /** Of the gateway; 0 picks a free one. */
  readonly port: number;
  /** Of the storage node's data server; 0 picks a free one. */
  readonly dataPort: number;
  /** Where the process's own metrics are served on {@link host}; 0 picks a free one; absent: nowhere but at a gateway's `/metrics`. */
  readonly metricsPort: number | undefined;
  /** Where other machines reach the data server, as `parseAdvertise` gives it; absent: where it listens. */
  readonly advertise: string | undefined;
  /** Addresses of the bus, or `local` for a server of this process's own; absent: the bus is inside the process. */
  readonly nats: string | undefined;
  /** Absolute path of a NATS credentials file. */
  readonly natsCredentials: string | undefined;
  /** Absent: SQLite in the data directory. */
  readonly mysql: string | undefined;
  /** Absent: a cache inside the process. */
  readonly redis: string | undefined;
  readonly databasePrefix: string;
  /** An origin, without a slash at its end. */
  readonly publicUrl: string | undefined;
  /** None: there is one principal, `local`, and the gateway binds loopback only. */
  readonly tokens: readonly OwnerToken[];
  /** Files are read without a token; everything else wants one. */
  readonly publicRead: boolean;
  readonly corsOrigins: readonly string[];
  /** What `X-Forwarded-For`, `-Proto` and `-Host` say is believed. */
  readonly trustProxy: boolean;
  /** Absolute paths of PEM files: the gateway's certificate, with those between it and its authority, and its key. Both or none. */
  readonly tlsCertificate: string | undefined;
  readonly tlsKey: string | undefined;
  readonly heartbeatMs: number;
  readonly offlineAfterMs: number;
  readonly idleExpiryMs: number;
  /** How long it can be looked up what an upload went through that has ended. */
  readonly endedLogMs: number;
  readonly fileBytesMax: number;
  readonly verifyAgeMs: number;
  readonly deleteGraceMs: number;
  /** 0: never for that. */
  readonly overloadStallMs: number;
  readonly logLevel: LogLevel;
  /** Of a collector of traces, OTLP over HTTP, without the path. Absent: spans leave the process only when somebody asks for them. */
  readonly otlp: string | undefined;
}

/** Where a server starts: what defaults depend on. */
export interface Surroundings {
  readonly hostname: string;
}

export interface Setting<Value> {
  /** Without the dashes. */
  readonly flag: string;
  /** What stands for the value in help: `bytes`, `duration`. */
  readonly argument: string;
  /** One line, no full stop. */
  readonly help: string;
  readonly isSecret: boolean;
  readonly isRepeatable: boolean;
  /** Given as a flag it has no value: it is on. */
  readonly isSwitch: boolean;
  /** As somebody would write it; none: {@link parse} is given an empty list. */
  readonly initial: (surroundings: Surroundings) => readonly string[];
  /** @throws {TroupeError} whose detail says what the value must be; never echoes a secret */
  readonly parse: (texts: readonly string[]) => Value;
  /** What {@link parse} would read back, or words in brackets. */
  readonly show: (value: Value) => string;
}

export const SETTINGS: { readonly [Name in keyof ServerSettings]: Setting<ServerSettings[Name]> } = {
  roles: one("role", "roles", `which actors this process plays: all, or some of ${ROLES.join(", ")}`, "all", parseRoles, rolesText),
  nodeId: optional(
    "node-id",
    "id",
    "this node's identity; a storage node's is made at the first start and kept in the data directory",
    (text) => checkIdentity(text, "It"),
    "(its own)",
  ),
  group: one("group", "id", "the group of storage nodes this one belongs to", "group001", (text) => checkIdentity(text, "It"), String),
  zone: one(
    "zone",
    "id",
    "what fails together with this node; this machine unless set",
    ({ hostname }) => zoneOfHost(hostname),
    (text) => checkIdentity(text, "It"),
    String,
  ),
  dataDirectory: one("data", "directory", "where files, journals and the embedded database are kept", "./data", parseNotEmpty, String),
  host: one("host", "address", "the address that the gateway and the data server listen on", "127.0.0.1", parseHost, String),
  port: one("port", "number", "the gateway's port; 0 picks a free one", "8080", parsePort, String),
  dataPort: one("data-port", "number", "the storage node's data port; 0 picks a free one", "0", parsePort, String),
  metricsPort: optionalNumber(
    "metrics-port",
    "a port for this process's own /metrics, /healthz and /readyz; 0 picks a free one",
    parsePort,
    "(none)",
  ),
  advertise: optional(
    "advertise",
    "address",
    "where other machines reach this node's data server; none: its bytes travel over the bus",
    parseAdvertise,
    "(where it listens)",
  ),
  nats: engine(
    "nats",
    "nats://user:password@host:4222",
    "the bus, or 'local' to start one beside this process",
    ["nats:", "tls:"],
    ["local"],
  ),
  natsCredentials: optional("nats-creds", "file", "a NATS credentials file, instead of user and password", parseNotEmpty, "(none)"),
  mysql: engine("mysql", "mysql://user:password@host:3306", "the MySQL or MariaDB server that trackers, allocators and catalogs share", [
    "mysql:",
    "mariadb:",
  ]),
  redis: engine("redis", "redis://:password@host:6379", "the cache that catalogs share", ["redis:", "rediss:"]),
  databasePrefix: one("database-prefix", "prefix", "what the names of the databases begin with", "troupe_", parseDatabasePrefix, String),
  publicUrl: optional(
    "public-url",
    "url",
    "the address users see, when that is not where the gateway listens",
    parseOrigin,
    "(where it listens)",
  ),
  tokens: many(
    "token",
    "owner:secret",
    "a secret and whose it is; without one there is a single user and the gateway binds loopback only",
    parseTokens,
    true,
    showTokens,
  ),
  publicRead: onOrOff("public-read", "files can be read, and listed under /browse/, without a token"),
  trustProxy: onOrOff("trust-proxy", "believe X-Forwarded-For, -Proto and -Host: only behind a proxy that sets all three"),
  tlsCertificate: optional(
    "tls-cert",
    "file",
    "serve https with this certificate (PEM); a renewed one is taken within a minute",
    parseNotEmpty,
    "(none)",
  ),
  tlsKey: optional("tls-key", "file", "the certificate's key (PEM)", parseNotEmpty, "(none)"),
  corsOrigins: many(
    "cors-origin",
    "origin",
    "an origin whose pages may use this gateway",
    parseOrigins,
    false,
    (origins) => origins.join(" ") || "(none)",
  ),
  heartbeatMs: one(
    "heartbeat",
    "duration",
    "how often a storage node says that it is alive",
    durationText(HEARTBEAT_MS_DEFAULT),
    durationFrom(10),
    durationText,
  ),
  offlineAfterMs: one(
    "offline-after",
    "duration",
    "how long a silent node counts as alive",
    durationText(OFFLINE_AFTER_MS_DEFAULT),
    durationFrom(20),
    durationText,
  ),
  idleExpiryMs: one(
    "idle-expiry",
    "duration",
    "how long an upload may be idle before it is removed",
    `${IDLE_EXPIRY_MS_DEFAULT / 3_600_000}h`,
    durationFrom(1000),
    durationText,
  ),
  endedLogMs: one(
    "inspect-keep",
    "duration",
    "how long a node remembers, to be shown, what an ended upload went through; 0 forgets at once",
    `${ENDED_LOG_MS_DEFAULT / 3_600_000}h`,
    durationFrom(0),
    durationText,
  ),
  fileBytesMax: one("max-file", "size", "the largest file that is accepted", sizeText(FILE_BYTES_MAX_DEFAULT), parseFileBytesMax, sizeText),
  verifyAgeMs: one(
    "verify-age",
    "duration",
    "how long bytes read and verified count as good; 0 verifies every read",
    durationText(VERIFY_AGE_MS_DEFAULT),
    durationFrom(0),
    durationText,
  ),
  deleteGraceMs: one(
    "delete-grace",
    "duration",
    "how long the bytes of a deleted file stay for reads under way",
    durationText(DELETE_GRACE_MS_DEFAULT),
    durationFrom(0),
    durationText,
  ),
  overloadStallMs: one(
    "overload-stall",
    "duration",
    "how long this process may stand still before it refuses new work for a while; 0 never refuses for that",
    durationText(OVERLOAD_STALL_MS_DEFAULT),
    parseOverloadStall,
    durationText,
  ),
  otlp: optional(
    "otlp",
    "url",
    "where traces are sent: a collector that takes OTLP over HTTP, such as http://collector:4318",
    parseOrigin,
    "(nowhere)",
  ),
  logLevel: one("log-level", "level", `what is logged: ${LOG_LEVELS.join(", ")}`, "info", parseLogLevel, String),
};

export type SettingName = keyof ServerSettings;
export const SETTING_NAMES = Object.keys(SETTINGS) as SettingName[];

/** Where the configuration file is; itself not a key of that file. */
export const CONFIG_FILE = {
  flag: "config",
  variable: "TROUPE_CONFIG",
  path: "troupe.config.json",
  help: "the configuration file, in JSON",
} as const;

/** `data-port` in the configuration file: `dataPort`. */
export function configKey(flag: string): string {
  return flag.replace(/-([a-z])/g, (_, letter: string) => letter.toUpperCase());
}

/** `data-port` in the environment: `TROUPE_DATA_PORT`. */
export function environmentVariable(flag: string): string {
  return `TROUPE_${flag.replaceAll("-", "_").toUpperCase()}`;
}

/** Whether an address is reached from this machine only. */
export function isLoopback(host: string): boolean {
  return host === "localhost" || host === "::1" || host === "[::1]" || /^127(\.\d{1,3}){3}$/.test(host);
}

function one<Value>(
  flag: string,
  argument: string,
  help: string,
  initial: string | ((surroundings: Surroundings) => string),
  parse: (text: string) => Value,
  show: (value: Value) => string,
): Setting<Value> {
  return {
    flag,
    argument,
    help,
    isSecret: false,
    isRepeatable: false,
    isSwitch: false,
    initial: (surroundings) => [typeof initial === "string" ? initial : initial(surroundings)],
    parse: (texts) => {
      if (texts.length > 1) throw invalid("it is given more than once");
      return parse(texts[0] ?? "");
    },
    show,
  };
}

function optional(
  flag: string,
  argument: string,
  help: string,
  parse: (text: string) => string,
  absent: string,
): Setting<string | undefined> {
  const setting = one(
    flag,
    argument,
    help,
    "",
    (text) => (text === "" ? undefined : parse(text)),
    (value) => value ?? absent,
  );
  return { ...setting, initial: () => [] };
}

function optionalNumber(flag: string, help: string, parse: (text: string) => number, absent: string): Setting<number | undefined> {
  const setting = one(
    flag,
    "number",
    help,
    "",
    (text) => (text === "" ? undefined : parse(text)),
    (value) => (value === undefined ? absent : String(value)),
  );
  return { ...setting, initial: () => [] };
}

function onOrOff(flag: string, help: string): Setting<boolean> {
  return { ...one(flag, "true|false", help, "false", parseOnOrOff, String), isSwitch: true };
}

/** A server of somebody else's. Its URL may hold a password. */
function engine(
  flag: string,
  argument: string,
  help: string,
  protocols: readonly string[],
  words: readonly string[] = [],
): Setting<string | undefined> {
  const absent = `(none: ${flag === "nats" ? "the bus is" : flag === "mysql" ? "SQLite, and the database is" : "the cache is"} inside the process)`;
  const parse = (text: string): string => (words.includes(text) ? text : parseEngineUrl(text, protocols, argument, flag === "nats"));
  const setting = optional(flag, "url", help, parse, absent);
  return { ...setting, isSecret: true, show: (value) => (value === undefined ? absent : withoutPassword(value)) };
}

function many<Value>(
  flag: string,
  argument: string,
  help: string,
  parse: (texts: readonly string[]) => Value,
  isSecret: boolean,
  show: (value: Value) => string,
): Setting<Value> {
  return { flag, argument, help, isSecret, isRepeatable: true, isSwitch: false, initial: () => [], parse, show };
}

const invalid = (detail: string): TroupeError => new TroupeError("SETTING_INVALID", detail);

function parseNotEmpty(text: string): string {
  if (text.trim() === "") throw invalid("it is empty");
  return text;
}

function parseOnOrOff(text: string): boolean {
  if (text !== "true" && text !== "false") throw invalid("it is true or false");
  return text === "true";
}

function parseRoles(text: string): readonly Role[] {
  const words = text.split(",").map((word) => word.trim());
  const unknown = words.find((word) => word !== "all" && !(ROLES as readonly string[]).includes(word));
  if (unknown !== undefined) throw invalid(`${JSON.stringify(unknown)} is not a role; the roles are all, ${ROLES.join(", ")}`);
  return words.includes("all") ? ROLES : ROLES.filter((role) => words.includes(role));
}

/** As it is written: `all`, or the names with commas between. */
export function rolesText(roles: readonly Role[]): string {
  return roles.length === ROLES.length ? "all" : roles.join(",");
}

function parseDatabasePrefix(text: string): string {
  if (!/^[a-z][a-z0-9_]{0,31}$/.test(text)) throw invalid("it begins with a letter and has at most 32 lowercase letters, digits or '_'");
  return text;
}

/** A hostname as an identity: `media-1.example.org` becomes `media-1-example-org`. */
function zoneOfHost(hostname: string): string {
  return hostname.replace(/[^A-Za-z0-9_-]+/g, "-").slice(0, 64) || "machine";
}

function parseHost(text: string): string {
  const host = text.replace(/^\[(.*)\]$/, "$1");
  if (!/^[A-Za-z0-9.:_-]{1,253}$/.test(host)) throw invalid("it is an address or a host name, such as 127.0.0.1, ::1 or 0.0.0.0");
  return host;
}

function parsePort(text: string): number {
  const port = /^\d{1,5}$/.test(text) ? Number(text) : Number.NaN;
  if (!(port <= 65_535)) throw invalid("a port is a number from 0 to 65535");
  return port;
}

function parseOrigin(text: string): string {
  const url = URL.parse(text);
  const isOrigin = url !== null && (url.protocol === "http:" || url.protocol === "https:") && `${url.origin}/` === url.href;
  if (!isOrigin) throw invalid("it is http:// or https:// with a host and perhaps a port, and no path");
  return url.origin;
}

function parseOrigins(texts: readonly string[]): readonly string[] {
  return [...new Set(texts.map(parseOrigin))];
}

function parseTokens(texts: readonly string[]): readonly OwnerToken[] {
  const tokens = new Map<string, OwnerToken>();
  for (const text of texts) {
    const [, owner, secret] = /^([^:]+):([\x21-\x7e]{1,512})$/.exec(text) ?? [];
    // T2: what was given is not repeated, not even when it is malformed.
    if (owner === undefined || secret === undefined)
      throw invalid("a token has the form owner:secret, the secret of visible ASCII characters");
    if (!ownerShape.safeParse(owner).success || owner.startsWith("$"))
      throw invalid("the owner of a token has 1 to 256 bytes, no control characters, and no '$' at its beginning");
    const other = tokens.get(secret);
    if (other !== undefined && other.owner !== owner)
      throw invalid(`the owners ${JSON.stringify(other.owner)} and ${JSON.stringify(owner)} have the same secret`);
    tokens.set(secret, { owner, secret });
  }
  return [...tokens.values()];
}

function showTokens(tokens: readonly OwnerToken[]): string {
  if (tokens.length === 0) return "(none)";
  return tokens.map(({ owner }) => `${owner}:(secret)`).join(" ");
}

function durationFrom(minimumMs: number): (text: string) => number {
  return (text) => {
    const durationMs = parseDuration(text);
    if (durationMs < minimumMs) throw invalid(`it is at least ${durationText(minimumMs)}`);
    return durationMs;
  };
}

function parseOverloadStall(text: string): number {
  const durationMs = parseDuration(text);
  if (durationMs !== 0 && durationMs < OVERLOAD_STALL_MS_MIN) throw invalid(`it is 0, or at least ${durationText(OVERLOAD_STALL_MS_MIN)}`);
  return durationMs;
}

function parseFileBytesMax(text: string): number {
  const bytes = parseSize(text);
  if (bytes < 1 || bytes > FILE_BYTES_LIMIT) throw invalid(`it is at least 1 and at most ${sizeText(FILE_BYTES_LIMIT)}`);
  return bytes;
}

function parseLogLevel(text: string): LogLevel {
  const level = LOG_LEVELS.find((candidate) => candidate === text);
  if (level === undefined) throw invalid(`it is one of ${LOG_LEVELS.join(", ")}`);
  return level;
}
