/** The sources in a temporary directory, to be changed and run there. */
import { cpSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { changed, type SourceChange } from "./mutant.ts";

const CHECKOUT = fileURLToPath(new URL("../../..", import.meta.url));
const COPIED = ["package.json", "src", "sql", "test/simulation", "test/support"];

/** Those that are there; none outlives the process. */
const copies = new Set<SourceCopy>();
process.on("exit", () => {
  for (const copy of copies) copy[Symbol.dispose]();
});

export class SourceCopy implements Disposable {
  readonly #path = mkdtempSync(join(tmpdir(), "troupe-mutant-"));

  /** @throws {Error} a sentence, when a change does not fit the sources */
  constructor(changes: readonly SourceChange[]) {
    copies.add(this);
    try {
      for (const place of COPIED) cpSync(join(CHECKOUT, place), join(this.#path, place), { recursive: true });
      symlinkSync(join(CHECKOUT, "node_modules"), join(this.#path, "node_modules"));
      for (const change of changes) {
        const path = join(this.#path, change.file);
        writeFileSync(path, changed(readFileSync(path, "utf8"), change));
      }
    } catch (error) {
      this[Symbol.dispose]();
      throw error;
    }
  }

  get runnerProgram(): string {
    return join(this.#path, "test/simulation/runner-program.ts");
  }

  [Symbol.dispose](): void {
    copies.delete(this);
    rmSync(this.#path, { recursive: true, force: true });
  }
}
