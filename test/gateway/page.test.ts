/** The page's files as the gateway serves them: from a fixed table, whole, and nothing else. */
import { expect, it } from "vitest";
import { importsOf } from "../../scripts/source-scan.ts";
import { readPageFiles } from "../../src/bin/page-files.ts";
import { Rig } from "./rig.ts";

const files = readPageFiles();
const HTML = { accept: "text/html,application/xhtml+xml,*/*;q=0.8" };

it("the page is for those who ask for HTML by name; others get the text", async () => {
  await using rig = await Rig.start({ page: files });
  for (const accept of [undefined, "*/*", "text/plain", "application/text/html-ish"]) {
    const answer = await rig.ask("GET", "/", accept === undefined ? {} : { headers: { accept } });
    expect(answer.fields["content-type"]).toBe("text/plain; charset=utf-8");
    expect(answer.fields["vary"]).toContain("Accept");
  }
  const page = await rig.ask("GET", "/", { headers: HTML });
  expect(page.status).toBe(200);
  expect(page.fields["content-type"]).toBe("text/html; charset=utf-8");
  expect(page.bytes.toString()).toContain("/page/main.ts");
});

it("the page that looks inside has an address of its own, and needs nothing but this server either", async () => {
  await using rig = await Rig.start({ page: files });
  const page = await rig.ask("GET", "/inspect", { headers: HTML });
  expect([page.status, page.fields["content-type"]]).toEqual([200, "text/html; charset=utf-8"]);
  expect(page.fields["content-security-policy"]).toContain("default-src 'none'");
  const served = new Set(files.map(({ name }) => `/page/${name}`));
  const asked = [...page.bytes.toString().matchAll(/(?:src|href)="([^"]+)"/g)].map(([, address]) => address);
  expect(asked).toContain("/page/inspect-main.ts");
  for (const address of asked) expect(served).toContain(address);
  for (const chart of ["upload", "actor", "node"]) expect(served).toContain(`/page/${chart}.json`);
});

it("a gateway without the page's files has the text for everybody", async () => {
  await using rig = await Rig.start();
  expect((await rig.ask("GET", "/", { headers: HTML })).fields["content-type"]).toBe("text/plain; charset=utf-8");
  expect((await rig.ask("GET", "/page/main.ts")).status).toBe(404);
});

it("every file of the page has a right type, a strong tag, and may reach nobody but this server", async () => {
  await using rig = await Rig.start({ page: files });
  for (const { name } of files) {
    const answer = await rig.ask("GET", `/page/${name}`);
    expect(answer.status).toBe(200);
    expect(answer.fields["content-type"]).toMatch(/^(text\/(javascript|css|html)|image\/svg\+xml|application\/json); charset=utf-8$/);
    expect(answer.fields["x-content-type-options"]).toBe("nosniff");
    const policy = answer.fields["content-security-policy"] ?? "";
    expect(policy).toContain("default-src 'none'");
    expect(policy).not.toMatch(/'unsafe-(inline|eval)'|https?:|\*/);
    expect(answer.fields["etag"]).toMatch(/^"[0-9a-f]{32}"$/);
    const again = await rig.ask("GET", `/page/${name}`, { headers: { "if-none-match": answer.fields["etag"] as string } });
    expect([again.status, again.bytes.length]).toEqual([304, 0]);
    expect((await rig.ask("HEAD", `/page/${name}`)).status).toBe(200);
  }
});

it("I3: no part of a request becomes a path: what is not in the table is not there", async () => {
  await using rig = await Rig.start({ page: files });
  for (const name of [
    "tsconfig.json",
    "..%2fserver.ts",
    "%2e%2e%2fserver.ts",
    "..",
    "main.ts%00",
    "main.ts/",
    "MAIN.TS",
    "__proto__",
    "constructor",
    "",
  ]) {
    expect([400, 404]).toContain((await rig.ask("GET", `/page/${name}`)).status);
  }
});

it("every script a script of the page imports is served, by an address and not by a package's name", () => {
  const names = new Set(files.map(({ name }) => name));
  for (const { name, text } of files.filter(({ contentType }) => contentType.startsWith("text/javascript"))) {
    for (const { specifier } of importsOf(text)) expect(names, `${name} imports ${specifier}`).toContain(specifier?.replace(/^\.\//, ""));
    expect(text).not.toContain("sourceMappingURL");
  }
});
