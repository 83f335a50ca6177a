/**
 * A private MariaDB (or MySQL) in a directory of its own: initialised when the directory is new, listening on loopback only, with one
 * user who may do anything to the databases of one prefix, and nothing to others.
 *
 * M1: a directory whose initialisation was interrupted is initialised again: the data gets its name when it is whole.
 * M2: when this answers, the user is there: the server runs the file that makes it before it greets anybody.
 */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { mkdir, rename, rm, stat, writeFile } from "node:fs/promises";
import { connect } from "node:net";
import { dirname, join } from "node:path";
import process from "node:process";
import { TroupeError } from "../../core/errors.ts";
import { type EngineProcess, type EngineWatch, findProgram, freePort, startEngine } from "./engine-process.ts";

export interface MariadbOptions {
  /** Made when missing; data that is there already is served again. */
  readonly directory: string;
  /** A free one unless given. */
  readonly port?: number;
  /** Letters and digits, both. */
  readonly user: string;
  readonly password: string;
  /** The user has every right to databases whose names begin so. */
  readonly databasePrefix: string;
  /** Whether a commit survives a power cut (the default); without, it survives the end of the process, and is much faster. */
  readonly durable?: boolean;
  /** Statements that the server runs as its administrator before it answers, one line each, without `;`. */
  readonly statements?: readonly string[];
  readonly watch?: EngineWatch;
}

export interface MariadbServer {
  readonly process: EngineProcess;
  readonly port: number;
  /** `mysql://user:password@127.0.0.1:port` */
  readonly url: string;
}

/** What an installed server is called: MariaDB's own name first, for its `mysqld` may be a link to something else. */
export const MARIADB_PROGRAMS = ["mariadbd", "mysqld"];
const INITIALISERS = ["mariadb-install-db", "mysql_install_db"];
const DURABLE = ["--innodb-flush-log-at-trx-commit=1"];
/** What the operating system holds survives the process, and that is all tests ask for; tables are made several times as fast. */
const UNSYNCED = ["--innodb-flush-log-at-trx-commit=2", "--innodb-flush-method=nosync", "--loose-debug-no-sync"];
const GREETING_WITHIN_MS = 1_000;
/** The first byte after the header of the first packet; an error has another. */
const PROTOCOL_VERSION = 10;
const OUTPUT_CHARACTERS_KEPT = 2_000;

/** @throws {TroupeError} `SETTING_INVALID` when it is not installed, or does not start */
export async function startMariadb(options: MariadbOptions): Promise<MariadbServer> {
  const { directory, user, password, databasePrefix } = options;
  for (const [name, text] of Object.entries({ user, password, databasePrefix })) {
    assert(/^[A-Za-z0-9_]+$/.test(text), `the database server's ${name} needs no quoting`);
  }
  const dataDirectory = mariadbDirectory(directory);
  await mkdir(temporaryDirectory(dataDirectory), { recursive: true, mode: 0o700 });
  const durability = (options.durable ?? true) ? DURABLE : UNSYNCED;
  if (!(await exists(dataDirectory))) await initialise(directory, dataDirectory, durability);
  const first = join(directory, "first.sql");
  await writeFile(first, firstStatements(options), { mode: 0o600 });
  const port = options.port ?? (await freePort());
  const server = await startEngine({
    name: "MariaDB",
    programs: MARIADB_PROGRAMS,
    argv: [...commonArguments(dataDirectory), ...serverArguments(port), ...durability],
    firstArgv: [`--init-file=${first}`],
    isReady: () => greets(port),
    watch: options.watch,
  });
  // M2. It holds the password.
  await rm(first, { force: true });
  return { process: server, port, url: `mysql://${user}:${password}@127.0.0.1:${port}` };
}

/** Where its tables are, in the folder it was given. */
export function mariadbDirectory(directory: string): string {
  return join(directory, "data");
}

/** Beside its tables: a server that starts removes what looks like its own from a folder that others share. */
function temporaryDirectory(dataDirectory: string): string {
  return join(dirname(dataDirectory), "temporary");
}

function commonArguments(dataDirectory: string): string[] {
  return [
    "--no-defaults",
    `--datadir=${dataDirectory}`,
    `--tmpdir=${temporaryDirectory(dataDirectory)}`,
    // The server refuses to run as root unless told to.
    ...(process.getuid?.() === 0 ? ["--user=root"] : []),
  ];
}

/** `loose`: one of the two servers does not know the option. */
function serverArguments(port: number): string[] {
  return [
    "--bind-address=127.0.0.1",
    `--port=${port}`,
    // In the data directory: a full path may be longer than a socket's may.
    "--socket=mysqld.sock",
    "--pid-file=mysqld.pid",
    "--skip-name-resolve",
    "--skip-log-bin",
    "--loose-mysqlx=OFF",
    "--character-set-server=utf8mb4",
    "--max-connections=200",
    // Those who look whether it answers do not log in.
    "--max-connect-errors=1000000",
    "--performance-schema=OFF",
    "--innodb-buffer-pool-size=64M",
    "--loose-innodb-log-file-size=64M",
  ];
}

function firstStatements({ user, password, databasePrefix, statements = [] }: MariadbOptions): string {
  const account = `'${user}'@'%'`;
  return [
    `CREATE USER IF NOT EXISTS ${account} IDENTIFIED BY '${password}'`,
    `ALTER USER ${account} IDENTIFIED BY '${password}'`,
    `GRANT ALL PRIVILEGES ON \`${databasePrefix.replaceAll("_", "\\_")}%\`.* TO ${account}`,
    ...statements,
  ]
    .map((statement) => `${statement};\n`)
    .join("");
}

async function initialise(directory: string, dataDirectory: string, durability: readonly string[]): Promise<void> {
  const fresh = join(directory, "new");
  await rm(fresh, { recursive: true, force: true });
  await mkdir(fresh, { mode: 0o700 });
  const initialiser = findProgram(INITIALISERS);
  const server = findProgram(MARIADB_PROGRAMS);
  if (initialiser !== undefined)
    await run(initialiser, [...commonArguments(fresh), ...durability, "--skip-test-db", "--auth-root-authentication-method=socket"]);
  // MySQL initialises itself.
  else if (server !== undefined) await run(server, [...commonArguments(fresh), ...durability, "--initialize-insecure"]);
  // Without a server there is nothing to do: starting it says what is missing.
  else return;
  // M1
  await rename(fresh, dataDirectory);
}

/** @throws {TroupeError} `SETTING_INVALID` when it fails */
function run(program: string, argv: readonly string[]): Promise<void> {
  return new Promise((resolve, reject) => {
    const child = spawn(program, argv, { stdio: ["ignore", "pipe", "pipe"] });
    let output = "";
    const keep = (said: Buffer): void => {
      output = (output + said.toString()).slice(-OUTPUT_CHARACTERS_KEPT);
    };
    child.stdout.on("data", keep);
    child.stderr.on("data", keep);
    child.once("error", reject);
    child.once("close", (code) => {
      if (code === 0) resolve();
      else reject(new TroupeError("SETTING_INVALID", `The database server could not be initialised: ${program} said: ${output.trim()}`));
    });
  });
}

/** Whether a server of this protocol greets whoever connects. */
function greets(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ host: "127.0.0.1", port, timeout: GREETING_WITHIN_MS });
    const answer = (greeted: boolean): void => {
      socket.destroy();
      resolve(greeted);
    };
    socket.once("data", (packet) => answer(packet[4] === PROTOCOL_VERSION));
    socket.once("timeout", () => answer(false));
    socket.once("error", () => answer(false));
    socket.once("close", () => answer(false));
  });
}

async function exists(path: string): Promise<boolean> {
  return stat(path).then(
    () => true,
    () => false,
  );
}
