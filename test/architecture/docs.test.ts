/** Documents that are made from code equal what the code makes, and commands in the README exist. */
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";
import { generateDocuments, loadContracts } from "../../scripts/generate-docs.ts";

const ROOT = fileURLToPath(new URL("../..", import.meta.url));
const read = (path: string): string => readFileSync(join(ROOT, path), "utf8");

/** npm scripts that fenced blocks of a page call: `npm start`, `npm test`, `npm run check`. */
function calledScripts(page: string): string[] {
  const blocks = [...page.matchAll(/^```[a-z]*\n(.*?)^```$/gms)].map(([, block]) => block as string);
  const calls = blocks.flatMap((block) => [...block.matchAll(/\bnpm (?:run ([a-z:-]+)|(start|test)\b)/g)]);
  return calls.map(([, run, short]) => (run ?? short) as string);
}

describe("generated documents", () => {
  it("equal what the code makes", async () => {
    for (const { path, text } of await generateDocuments(ROOT))
      expect(read(path) === text, `${path} differs: run 'npm run docs'`).toBe(true);
  });

  it("name every request of every contract", async () => {
    const contracts = await loadContracts(ROOT);
    expect(contracts.map((contract) => contract.name)).toEqual(expect.arrayContaining(["catalog", "ids", "storage", "tracker", "upload"]));
    const protocol = read("docs/PROTOCOL.md");
    for (const contract of contracts) {
      for (const verb of Object.keys(contract.requests))
        expect(protocol.includes(`### ${contract.name}.${verb}\n`), `${contract.name}.${verb}`).toBe(true);
    }
  });
});

describe("written documents", () => {
  it.each(["README.md", "CONTRIBUTING.md"])("%s calls only npm scripts that exist", (page) => {
    const { scripts } = JSON.parse(read("package.json")) as { scripts: Record<string, string> };
    const called = calledScripts(read(page));
    expect(called.length).toBeGreaterThan(0);
    expect(called.filter((name) => scripts[name] === undefined)).toEqual([]);
  });

  it.each(["README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "CHANGELOG.md", "docs/ORIGINS.md", "docs/FAULTS.md"])(
    "links of %s lead somewhere",
    (page) => {
      const folder = join(ROOT, page, "..");
      const targets = [...read(page).matchAll(/\]\((?!https?:|#)([^)#]+)(?:#[^)]*)?\)/g)].map(([, target]) => target as string);
      expect(targets.filter((target) => !existsSync(join(folder, target)))).toEqual([]);
    },
  );
});
