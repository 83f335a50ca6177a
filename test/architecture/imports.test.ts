/** Layers point one way, and nothing inside them keeps its own time or randomness. The rules are in scripts/import-directions.ts. */
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";
import { findViolations, readSources } from "../../scripts/import-directions.ts";
import { codeOnly, importsOf } from "../../scripts/source-scan.ts";

const ROOT = fileURLToPath(new URL("../..", import.meta.url));
const check = (path: string, text: string): string[] => findViolations([{ path, text }]);

describe("import directions", () => {
  it("every source file keeps them", () => {
    const sources = readSources(ROOT);
    expect(sources.length).toBeGreaterThan(20);
    expect(findViolations(sources)).toEqual([]);
  });

  const forbidden: [what: string, path: string, text: string][] = [
    ["core importing the bus", "src/core/x.ts", `import { client } from "../bus/client.ts";`],
    ["core importing a type of an actor", "src/core/x.ts", `import type { A } from "../actors/ids/contract.ts";`],
    ["core importing a package off its list", "src/core/x.ts", `import { LRUCache } from "lru-cache";`],
    ["a contract importing the actor's side of the bus", "src/actors/ids/contract.ts", `import type { Turn } from "../../bus/actor.ts";`],
    ["a contract importing another contract", "src/actors/ids/contract.ts", `import { tracker } from "../tracker/contract.ts";`],
    ["a machine importing the bus", "src/actors/upload/machine.ts", `import { client } from "../../bus/client.ts";`],
    ["a machine importing another actor's contract", "src/actors/upload/machine.ts", `import { ids } from "../ids/contract.ts";`],
    ["an actor importing another actor's behaviour", "src/actors/upload/actor.ts", `import { startCatalog } from "../catalog/actor.ts";`],
    [
      "an actor re-exporting another actor's behaviour",
      "src/actors/upload/actor.ts",
      `export { startCatalog } from "../catalog/actor.ts";`,
    ],
    ["an actor importing another one dynamically", "src/actors/upload/actor.ts", `const other = await import("../catalog/actor.ts");`],
    ["an actor naming another one in a type", "src/actors/upload/actor.ts", `type A = import("../catalog/actor.ts").Catalog;`],
    // biome-ignore lint/suspicious/noTemplateCurlyInString: the code under test is a template
    ["an actor importing something computed", "src/actors/upload/actor.ts", "const other = await import(`../${name}/actor.ts`);"],
    ["an actor importing the store", "src/actors/ids/actor.ts", `import { openSqlite } from "../../store/sql/sqlite-database.ts";`],
    ["an actor importing a bus adapter", "src/actors/ids/actor.ts", `import { LoopbackBus } from "../../bus/loopback.ts";`],
    ["an actor importing files", "src/actors/ids/actor.ts", `import { open } from "node:fs/promises";`],
    ["an actor importing timers", "src/actors/ids/actor.ts", `import { scheduler } from "node:timers/promises";`],
    ["the bus importing an actor", "src/bus/host.ts", `import { ids } from "../actors/ids/contract.ts";`],
    ["the store importing an actor", "src/store/sql/x.ts", `import { ids } from "../../actors/ids/contract.ts";`],
    ["the store importing the gateway", "src/store/x.ts", `import "../gateway/routes/files.ts";`],
    ["the gateway importing an actor's behaviour", "src/gateway/routes/x.ts", `import { x } from "../../actors/upload/actor.ts";`],
    ["a route importing node:http", "src/gateway/routes/x.ts", `import http from "node:http";`],
    ["anybody importing a composition root", "src/cli/x.ts", `import { main } from "../bin/server.ts";`],
    ["SQLite outside the store", "src/bin/server.ts", `import { DatabaseSync } from "node:sqlite";`],
    ["files in a store module that is not the disk", "src/store/cache.ts", `import fs from "node:fs";`],
    ["workers outside the store", "src/bin/server.ts", `import { Worker } from "node:worker_threads";`],
    ["several lines of imported names", "src/core/x.ts", `import {\n  a,\n  type B,\n} from\n  "../bus/client.ts";`],
    ["sockets beside a pure function of node:net", "src/gateway/host-check.ts", `import { connect, isIP } from "node:net";`],
    ["a folder without a rule", "src/elsewhere/x.ts", "export {};"],
  ];
  it.each(forbidden)("refuses %s", (_, path, text) => {
    expect(check(path, text)).toHaveLength(1);
  });

  const allowed: [what: string, path: string, text: string][] = [
    ["an actor with another one's contract", "src/actors/upload/actor.ts", `import { catalog } from "../catalog/contract.ts";`],
    [
      "an actor with its own folder",
      "src/actors/upload/actor.ts",
      `import { machine } from "./machine.ts";\nimport { host } from "../../bus/host.ts";`,
    ],
    ["a port", "src/gateway/routes/files.ts", `import type { Clock } from "../../core/ports/clock.ts";`],
    ["a pure function of node:net", "src/gateway/host-check.ts", `import { isIP } from "node:net";`],
    ["files where the disk is", "src/store/node-disk.ts", `import { open } from "node:fs/promises";`],
    ["node:http in its adapter", "src/gateway/node-http.ts", `import http from "node:http";\nsetTimeout(close, 5);`],
    ["everything in a composition root", "src/bin/server.ts", `import { a } from "../store/node-disk.ts";\nconsole.log(Date.now());`],
    [
      "the word import in a comment or a string",
      "src/core/x.ts",
      `// import x from "../bus/client.ts"\nconst text = 'import "../bus/client.ts"';`,
    ],
  ];
  it.each(allowed)("allows %s", (_, path, text) => {
    expect(check(path, text)).toEqual([]);
  });
});

describe("banned names", () => {
  const banned = [
    "const now = Date.now();",
    "const now = new Date();",
    "const now = new Date;",
    "const text = Date();",
    "const n = Math.random();",
    "setTimeout(work, 5);",
    "const wait = setInterval;",
    "setImmediate(work);",
    "const now = performance.now();",
    "const now = process.hrtime.bigint();",
    "const answer = await fetch(url);",
    "const signal = AbortSignal.timeout(5);",
    "const id = crypto.randomUUID();",
    `import { randomBytes } from "node:crypto";`,
    "console.log(1);",
    "globalThis.setTimeout(work, 5);",
    // biome-ignore lint/suspicious/noTemplateCurlyInString: the code under test is a template
    "const text = `at ${Date.now()}`;",
    'const pattern = /[/"]/; const now = Date.now();',
  ];
  it.each(banned)("are found in an actor: %s", (text) => {
    expect(check("src/actors/ids/actor.ts", text)).toHaveLength(1);
    expect(check("src/store/system-clock.ts", text)).toEqual([]);
  });

  const fine = [
    "const time = new Date(wallMs).toISOString();",
    "clock.setTimer(5, work);",
    "// Date.now() is banned here",
    `const text = "Math.random()";`,
    "const text = `setTimeout(work, 5)`;",
    "const pattern = /Date.now()/;",
    "const half = total / 2; const other = rest / 3;",
    "await http.fetch(url);",
    "const { process } = state;",
  ];
  it.each(fine)("are not seen in: %s", (text) => {
    expect(check("src/actors/ids/actor.ts", text)).toEqual([]);
  });
});

describe("the scanner", () => {
  it("keeps every position", () => {
    for (const { text } of readSources(ROOT)) {
      const code = codeOnly(text);
      expect(code.length).toBe(text.length);
      expect(code.split("\n").length).toBe(text.split("\n").length);
    }
  });

  it("leaves code after nested templates and odd regular expressions", () => {
    // biome-ignore lint/suspicious/noTemplateCurlyInString: the code under test is a template
    expect(codeOnly("a(`x ${f(`y ${b}`, { c: '}' })} z`); last")).toContain("; last");
    expect(codeOnly("split(/[\"'`]/).map(last)")).toContain(".map(last)");
    expect(codeOnly("return /`/.test(x) && last")).toContain("&& last");
  });

  it("lists imports with their names and lines", () => {
    const text = `import a, { type B, c as d } from "./a.ts";\nimport type { E } from "./e.ts";\nexport * from "./f.ts";\nimport "./g.ts";\nimport * as h from "./h.ts";\nimport {\n  i,\n} from "./i.ts";`;
    expect(importsOf(text).sort((one, other) => one.line - other.line)).toEqual([
      { specifier: "./a.ts", names: ["B", "c"], line: 1 },
      { specifier: "./e.ts", names: ["E"], line: 2 },
      { specifier: "./f.ts", names: [], line: 3 },
      { specifier: "./g.ts", names: [], line: 4 },
      { specifier: "./h.ts", names: [], line: 5 },
      { specifier: "./i.ts", names: ["i"], line: 6 },
    ]);
  });
});
