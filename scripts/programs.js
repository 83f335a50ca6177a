/**
 * The programs that tests, the smoke run and the benchmarks start, in one place: what each is for, and the package that brings it.
 * `npm run setup` installs them, `npm test` looks for them.
 */
import { accessSync, constants, existsSync, readFileSync, statSync } from "node:fs";
import { delimiter, join } from "node:path";
import process from "node:process";

/**
 * @typedef {object} Program
 * @property {string} name as people call it, and what is looked for on PATH
 * @property {readonly string[]} [programs] other names it may have there, any of which will do
 * @property {string} purpose
 * @property {"tests" | "optional" | "bench"} need `tests`: they fail without it; `optional`: what would use it says that it is
 * missing; `bench`: installed only upon `npm run setup -- --bench`
 * @property {string} apt
 * @property {string} brew
 */

/** @type {readonly Program[]} */
const PROGRAMS = [
  { name: "curl", purpose: "uploads and reads as people do them", need: "tests", apt: "curl", brew: "curl" },
  { name: "wget", purpose: "reads ranges and resumes as a player does", need: "tests", apt: "wget", brew: "wget" },
  { name: "ffmpeg", purpose: "makes the films that are uploaded, and seeks in them", need: "tests", apt: "ffmpeg", brew: "ffmpeg" },
  { name: "ffprobe", purpose: "reads a film's header over HTTP", need: "tests", apt: "ffmpeg", brew: "ffmpeg" },
  { name: "nats-server", purpose: "the bus of a cluster", need: "tests", apt: "nats-server", brew: "nats-server" },
  {
    name: "mariadbd",
    programs: ["mysqld"],
    purpose: "the databases of a cluster",
    need: "tests",
    apt: "mariadb-server",
    brew: "mariadb",
  },
  { name: "redis-server", purpose: "the cache of a cluster", need: "tests", apt: "redis-server", brew: "redis" },
  {
    name: "chromium",
    programs: ["chromium-browser", "google-chrome"],
    purpose: "the page, as people use it",
    need: "tests",
    apt: "chromium",
    brew: "chromium",
  },
  { name: "rclone", purpose: "mirrors a folder from its listings", need: "tests", apt: "rclone", brew: "rclone" },
  { name: "openssl", purpose: "makes the certificates that tests of TLS use", need: "tests", apt: "openssl", brew: "openssl" },
  { name: "mpv", purpose: "a player that is seen to seek", need: "optional", apt: "mpv", brew: "mpv" },
  { name: "caddy", purpose: "a reverse proxy in front of a gateway", need: "optional", apt: "caddy", brew: "caddy" },
  { name: "b3sum", purpose: "an independent BLAKE3 to compare with", need: "optional", apt: "b3sum", brew: "b3sum" },
  { name: "nginx", purpose: "the benchmark's measure", need: "bench", apt: "nginx-light", brew: "nginx" },
];

/**
 * @param {string} name
 * @returns {boolean} whether PATH, or a place where servers are installed and users do not look, has it
 */
function isInstalled(name) {
  const folders = [...(process.env["PATH"] ?? "").split(delimiter), "/usr/sbin", "/usr/local/sbin", "/opt/homebrew/bin"];
  return folders.some((folder) => folder !== "" && isExecutable(join(folder, name)));
}

/**
 * @param {readonly Program["need"][]} needs
 * @returns {Program[]}
 */
export function missingPrograms(...needs) {
  return PROGRAMS.filter((program) => needs.includes(program.need) && ![program.name, ...(program.programs ?? [])].some(isInstalled));
}

/** @returns {"apt" | "brew" | undefined} how programs are installed here */
export function packageManager() {
  if (process.platform === "darwin" && isInstalled("brew")) return "brew";
  if (process.platform === "linux" && isDebianLike() && isInstalled("apt-get")) return "apt";
  return undefined;
}

/** Debian, Ubuntu, and what says that it is like them. */
function isDebianLike() {
  if (!existsSync("/etc/os-release")) return false;
  return /^ID(_LIKE)?=.*\b(debian|ubuntu)\b/m.test(readFileSync("/etc/os-release", "utf8"));
}

/** @param {string} path */
function isExecutable(path) {
  if (!existsSync(path) || !statSync(path).isFile()) return false;
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    // No right to run it is the answer, not a failure.
    return false;
  }
}
