/** A digest of everything a run depends on: what was found out about seeds is true for these sources only. */
import { createHash } from "node:crypto";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";

const PLACES = ["package-lock.json", "sql", "src", "test/simulation", "test/support"];
/** They change no run. */
const BESIDE = /\.test\.ts$|^test\/simulation\/(?:regressions|mutants)\/|^src\/page\//;

/** @param root of the checkout @returns 16 hexadecimal digits */
export function sourcesDigest(root: string): string {
  const digest = createHash("sha256").update(process.version);
  for (const path of PLACES.flatMap((place) => filesOf(root, place)).sort()) {
    const bytes = readFileSync(join(root, path));
    digest.update(`\n${path} ${bytes.length}\n`).update(bytes);
  }
  return digest.digest("hex").slice(0, 16);
}

function filesOf(root: string, place: string): string[] {
  if (place.includes(".")) return [place];
  return readdirSync(join(root, place), { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name).slice(join(root, "/").length))
    .filter((path) => !BESIDE.test(path));
}
