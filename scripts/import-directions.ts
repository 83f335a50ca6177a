/**
 * Who may import whom, which packages stay in one place, and which names are banned where time, randomness, disk and network come
 * in only through ports. The three tables below are the rules; run as a program it checks `src` and names every violation.
 *
 * The reason: the whole cluster must be able to run in one thread under a seeded scheduler, and that cannot be added later.
 */
import { readdirSync, readFileSync } from "node:fs";
import { dirname, join, normalize } from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { codeOnly, importsOf, lineAt } from "./source-scan.ts";

export interface SourceFile {
  /** From the top of the checkout, with slashes: `src/core/limits.ts`. */
  readonly path: string;
  readonly text: string;
}

interface Zone {
  readonly zone: string;
  readonly files: RegExp;
  /** Our own files that may be imported, besides those of `core`. `$1` is what the first group of `files` matched. */
  readonly own: readonly string[];
  /** Packages that may be imported; absent: any that the table of drivers does not keep elsewhere. */
  readonly packages?: readonly string[];
  /** No source of time, randomness or input but the ports. */
  readonly pure?: true;
}

const PLAIN = ["node:assert", "node:assert/strict", "node:path", "node:crypto", "node:buffer"];
const CONTRACTS = "src/actors/[^/]+/contract\\.ts";
/** The bus as actors and gateways see it: without its adapters. */
const BUS = "src/bus/(?!nats|loopback)[^/]+\\.ts";

/** The data plane without its adapters. */
const DATA_PLANE = "src/data-plane/(?!node-)[^/]+\\.ts";
const ACTOR_PACKAGES = [...PLAIN, "zod", "kysely", "xstate", "lru-cache"];

/** The first zone whose `files` match is the file's. */
const ZONES: readonly Zone[] = [
  // Machines without context, for whoever has one.
  { zone: "state table", files: /^src\/core\/state-table\.ts$/, own: [], packages: [...PLAIN, "xstate"], pure: true },
  { zone: "lifecycle", files: /^src\/bus\/lifecycle\.ts$/, own: [], packages: ["xstate"], pure: true },
  // System calls that Node has no interface of its own for, for the adapters that need one.
  {
    zone: "system calls",
    files: /^src\/core\/system-calls\.ts$/,
    own: ["src/core/without-warnings\\.ts"],
    packages: ["node:module"],
    pure: true,
  },
  // The ambient trace decides nothing, and brings nothing in.
  { zone: "core", files: /^src\/core\//, own: [], packages: [...PLAIN, "node:async_hooks", "zod", "kysely"], pure: true },
  { zone: "contract", files: /^src\/actors\/[^/]+\/contract\.ts$/, own: ["src/bus/contract\\.ts"], packages: ["zod"], pure: true },
  {
    zone: "machine",
    files: /^src\/actors\/([^/]+)\/machine\.ts$/,
    own: ["src/actors/$1/contract\\.ts"],
    packages: [...PLAIN, "xstate"],
    pure: true,
  },
  // A storage node hosts uploads: it meets what they ask of their host, which they declare beside their contract.
  {
    zone: "storage actor",
    files: /^src\/actors\/storage\//,
    own: ["src/actors/storage/.+", "src/actors/upload/ports\\.ts", CONTRACTS, BUS, DATA_PLANE],
    packages: ACTOR_PACKAGES,
    pure: true,
  },
  {
    zone: "actor",
    files: /^src\/actors\/([^/]+)\//,
    own: ["src/actors/$1/.+", CONTRACTS, BUS, DATA_PLANE],
    packages: ACTOR_PACKAGES,
    pure: true,
  },
  { zone: "bus adapter", files: /^src\/bus\/nats/, own: ["src/bus/.+"] },
  { zone: "bus", files: /^src\/bus\//, own: ["src/bus/.+"], packages: [...PLAIN, "zod", "msgpackr"], pure: true },
  { zone: "store", files: /^src\/store\//, own: ["src/store/.+"] },
  { zone: "data plane adapter", files: /^src\/data-plane\/node-/, own: ["src/data-plane/.+"] },
  {
    zone: "data plane",
    files: /^src\/data-plane\//,
    own: ["src/data-plane/.+", CONTRACTS, BUS],
    packages: [...PLAIN, "lru-cache"],
    pure: true,
  },
  { zone: "gateway adapter", files: /^src\/gateway\/node-http/, own: ["src/gateway/.+"] },
  {
    zone: "gateway",
    files: /^src\/gateway\//,
    own: ["src/gateway/.+", "src/actors/gateway/.+", CONTRACTS, BUS],
    packages: [...PLAIN, "node:zlib", "zod", "find-my-way", "mime", "lru-cache", "@fastify/busboy"],
    pure: true,
  },
  { zone: "client adapter", files: /^src\/client\/node-/, own: ["src/client/.+"] },
  { zone: "client", files: /^src\/client\//, own: ["src/client/.+", CONTRACTS, BUS], packages: [...PLAIN, "zod"], pure: true },
  { zone: "settings", files: /^src\/config\//, own: ["src/config/.+"], packages: [...PLAIN, "commander"], pure: true },
  { zone: "inspector", files: /^src\/inspector\//, own: ["src/inspector/.+", CONTRACTS, "src/actors/[^/]+/machine\\.ts", BUS], pure: true },
  { zone: "command line", files: /^src\/cli\//, own: ["src/cli/.+", "src/client/.+", "src/config/.+", "src/inspector/.+", CONTRACTS, BUS] },
  // It runs in browsers and reaches the system by HTTP only.
  // It draws machines with what the command line draws them with.
  {
    zone: "page",
    files: /^src\/page\//,
    own: ["src/page/.+", "src/inspector/.+"],
    packages: ["preact", "preact/hooks", "htm", "hash-wasm"],
  },
  { zone: "composition root", files: /^src\/bin\//, own: ["src/.+"] },
];

const ROOTS = "src/bin/.+";
/** Drivers, and the only places that import them. `bin` wires adapters and needs a driver itself only to read settings and files. */
const DRIVERS: readonly { readonly packages: RegExp; readonly places: readonly string[] }[] = [
  { packages: /^node:sqlite$|^mysql2($|\/)/, places: ["src/store/.+"] },
  { packages: /^ioredis($|\/)/, places: ["src/store/.+"] },
  { packages: /^nats($|\/)|^@nats-io\//, places: ["src/bus/nats.*"] },
  {
    packages: /^node:(http|https|http2|net|tls|dgram|dns)($|\/)/,
    places: ["src/gateway/node-http.*", "src/data-plane/node-.+", "src/client/node-.+", ROOTS],
  },
  {
    packages: /^node:fs($|\/)/,
    places: [
      "src/store/node-disk\\.ts",
      "src/store/directory-lock\\.ts",
      "src/store/hash-worker\\.ts",
      "src/store/sql/migrations?\\.ts",
      "src/client/node-.+",
      "src/cli/.+",
      ROOTS,
    ],
  },
  { packages: /^node:worker_threads$/, places: ["src/store/.+"] },
  { packages: /^@napi-rs\/blake-hash$/, places: ["src/store/.+"] },
  { packages: /^node:child_process$/, places: [ROOTS, "src/cli/.+"] },
  { packages: /^(commander|cli-progress)$/, places: ["src/cli/.+", "src/config/.+", ROOTS] },
  // `createRequire` reaches what Node has no ordinary import for: the system calls that move a file, or another socket's bytes, into a socket,
  // and the socket in which systemd is told how a service is.
  // The roots take types out of what browsers run.
  {
    packages: /^node:(module|ffi)$/,
    places: ["src/core/system-calls\\.ts", "src/bin/page-files\\.ts"],
  },
  { packages: /^(preact|htm)($|\/)/, places: ["src/page/.+"] },
  { packages: /^(find-my-way|@fastify\/busboy)$/, places: ["src/gateway/.+"] },
  { packages: /^node:async_hooks$/, places: ["src/core/trace\\.ts"] },
  { packages: /^@opentelemetry\//, places: ["src/store/otlp-spans\\.ts"] },
  { packages: /^pino$/, places: ["src/store/.+", ROOTS] },
  { packages: /^prom-client$/, places: ["src/store/prom-metrics\\.ts"] },
];

/** Functions of a value that lie in a package which is otherwise kept elsewhere; everybody may import them. */
const PURE_FUNCTIONS: Readonly<Record<string, readonly string[]>> = { "node:net": ["isIP", "isIPv4", "isIPv6"] };

/** Names that reach time, randomness, network or the process without a port. */
const BANNED: readonly { readonly name: string; readonly pattern: RegExp }[] = [
  { name: "Date.now", pattern: /\bDate\s*\.\s*now\b/g },
  { name: "new Date() without an argument", pattern: /\bnew\s+Date\b(?!\s*\(\s*[^)\s])/g },
  { name: "Date() as a function", pattern: /(?<!\bnew\s+)(?<![.\w$#])Date\s*\(/g },
  { name: "Math.random", pattern: /\bMath\s*\.\s*random\b/g },
  { name: "a timer of the runtime", pattern: /(?<![.\w$#])(?:setTimeout|setInterval|setImmediate)\b/g },
  { name: "performance", pattern: /(?<![.\w$#])performance\b(?!\s*[?:])/g },
  // A warning is words for a person: it brings nothing in.
  { name: "process", pattern: /(?<![.\w$#])process\s*\.(?!\s*emitWarning)/g },
  { name: "fetch", pattern: /(?<![.\w$#])fetch\s*\(/g },
  { name: "AbortSignal.timeout", pattern: /\bAbortSignal\s*\.\s*timeout\b/g },
  {
    name: "randomness of node:crypto",
    pattern: /\b(?:randomUUID|randomBytes|randomInt|randomFill|randomFillSync|getRandomValues|generateKeySync|generateKeyPairSync)\b/g,
  },
  { name: "console", pattern: /(?<![.\w$#])console\s*\./g },
  { name: "globalThis", pattern: /(?<![.\w$#])globalThis\b/g },
];

/** Every violation as a sentence with its place, in the order of the files. */
export function findViolations(files: readonly SourceFile[]): string[] {
  return files.flatMap((file) => {
    const zone = ZONES.find((candidate) => candidate.files.test(file.path));
    if (zone === undefined) return [`${file.path}: no rule says what may be imported here; add its folder to the table`];
    return [...importViolations(file, zone), ...(zone.pure ? bannedNames(file, zone) : [])];
  });
}

function importViolations(file: SourceFile, zone: Zone): string[] {
  const own = [
    /^src\/core\//,
    ...zone.own.map((pattern) => new RegExp(`^${pattern.replace("$1", zone.files.exec(file.path)?.[1] ?? "")}$`)),
  ];
  return importsOf(file.text).flatMap(({ specifier, names, line }) => {
    const place = `${file.path}:${line}: `;
    if (specifier === undefined) return zone.pure ? [`${place}${zone.zone} imports something computed`] : [];
    if (specifier.startsWith(".")) {
      const target = normalize(join(dirname(file.path), specifier)).replaceAll("\\", "/");
      return own.some((pattern) => pattern.test(target)) ? [] : [`${place}${zone.zone} may not import ${target}`];
    }
    const pure = PURE_FUNCTIONS[specifier];
    if (pure !== undefined && names.length > 0 && names.every((name) => pure.includes(name))) return [];
    const kept = DRIVERS.find(
      (driver) => driver.packages.test(specifier) && !driver.places.some((at) => new RegExp(`^${at}$`).test(file.path)),
    );
    if (kept !== undefined) return [`${place}${specifier} is imported only in ${kept.places.join(", ")}`];
    if (zone.packages !== undefined && !zone.packages.includes(specifier)) return [`${place}${zone.zone} may not import ${specifier}`];
    return [];
  });
}

function bannedNames(file: SourceFile, zone: Zone): string[] {
  const code = codeOnly(file.text);
  return BANNED.flatMap(({ name, pattern }) =>
    [...code.matchAll(pattern)].map((match) => `${file.path}:${lineAt(code, match.index)}: ${zone.zone} uses ${name}; take it from a port`),
  );
}

/** Every source file below `src`, sorted. */
export function readSources(root: string): SourceFile[] {
  return readdirSync(join(root, "src"), { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && /\.[jt]s$/.test(entry.name))
    .map((entry) => join(entry.parentPath, entry.name))
    .sort()
    .map((path) => ({ path: path.slice(root.length).replaceAll("\\", "/").replace(/^\//, ""), text: readFileSync(path, "utf8") }));
}

if (import.meta.main) {
  const violations = findViolations(readSources(fileURLToPath(new URL("..", import.meta.url))));
  for (const violation of violations) process.stderr.write(`${violation}\n`);
  process.exitCode = violations.length === 0 ? 0 : 1;
}
