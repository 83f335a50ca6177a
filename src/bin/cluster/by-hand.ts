/**
 * What a person started by hand in place of a part that had ended: it is no child of ours and nobody has noted it, and it would outlive the
 * cluster and have its ports and folders when the next one starts.
 *
 * H1: a process is proven a part by what it runs and by a path of this cluster that it was given or works in; its number is never guessed.
 */
import { spawnSync } from "node:child_process";
import { readdirSync, readFileSync, readlinkSync, realpathSync } from "node:fs";
import { basename, resolve } from "node:path";
import process from "node:process";

export interface SeenProcess {
  readonly pid: number;
  readonly argv: readonly string[];
  /** In which it works: its relative paths start there. */
  readonly folder: string;
}

/** H1 */
export type IsPart = (seen: SeenProcess) => boolean;

/** `node <script> --config <file>` */
export function isScriptWith(script: string, configFile: string): IsPart {
  return ({ argv, folder }) => {
    const at = argv.indexOf("--config");
    const given = at < 0 ? argv.find((word) => word.startsWith("--config="))?.slice("--config=".length) : argv[at + 1];
    return given !== undefined && isSame(folder, given, configFile) && argv.some((word) => isSame(folder, word, script));
  };
}

/** A program of one of these names with this path among its arguments, also behind a `=`; or, when it hides them, at work in it. */
export function isProgramWith(programs: readonly string[], path: string): IsPart {
  return ({ argv: [program = "", ...words], folder }) =>
    // Redis writes its address behind its name.
    programs.includes(basename(program.split(" ")[0] ?? "")) &&
    (isSame("/", folder, path) || words.some((word) => isSame(folder, word.slice(word.indexOf("=") + 1), path)));
}

/** Those of all running processes that are one of these parts. */
export function findByHand(parts: ReadonlyMap<string, IsPart>): { readonly name: string; readonly pid: number }[] {
  const seen = process.platform === "linux" ? processesOfLinux() : processesOfPs();
  return seen.flatMap((each) => [...parts].filter(([, isPart]) => isPart(each)).map(([name]) => ({ name, pid: each.pid })));
}

function isSame(folder: string, word: string, path: string): boolean {
  return basename(word) === basename(path) && real(resolve(folder, word)) === real(path);
}

function real(path: string): string {
  try {
    return realpathSync(path);
  } catch {
    // Not there any more: its name has to do.
    return path;
  }
}

function processesOfLinux(): SeenProcess[] {
  return readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name))
    .flatMap((name) => {
      try {
        const argv = readFileSync(`/proc/${name}/cmdline`, "utf8").split("\0").slice(0, -1);
        return [{ pid: Number(name), argv, folder: readlinkSync(`/proc/${name}/cwd`) }];
      } catch {
        // It has ended, or is somebody else's and not for us to end.
        return [];
      }
    });
}

/** Without the limits between arguments: one with a space in it is not recognised. */
function processesOfPs(): SeenProcess[] {
  const lines = spawnSync("ps", ["-axo", "pid=,args="], { encoding: "utf8" }).stdout ?? "";
  const folders = foldersOfLsof();
  return lines.split("\n").flatMap((line) => {
    const [, pid, words] = /^\s*(\d+)\s+(.*?)\s*$/.exec(line) ?? [];
    const folder = folders.get(Number(pid));
    return words === undefined || folder === undefined ? [] : [{ pid: Number(pid), argv: words.split(/\s+/), folder }];
  });
}

/** Of our own user's processes, by number: `p123` and, after what it is, `n/its/folder`. */
function foldersOfLsof(): Map<number, string> {
  const user = String(process.getuid?.() ?? "");
  const { stdout } = spawnSync("lsof", ["-a", "-u", user, "-d", "cwd", "-Fpn"], { encoding: "utf8" });
  return new Map([...(stdout ?? "").matchAll(/^p(\d+)\n(?:f.*\n)?n(.*)$/gm)].map(([, pid, folder]) => [Number(pid), folder as string]));
}
