/** A server with a certificate, as a user starts it: curl and the command line by https. */
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type MadeCertificate, makeCertificate } from "../support/certificates.ts";
import { endOf, run, runTroupe } from "../support/program.ts";
import { type ServerProcess, spawnServer, startServer } from "../support/server-process.ts";
import { type TemporaryDirectory, temporaryDirectory } from "../support/temporary-directory.ts";
import { someBytes } from "../support/troupe.ts";

const TOKEN = { TROUPE_TOKEN: "ann:s3cret" };

let directory: TemporaryDirectory;
let made: MadeCertificate;
let server: ServerProcess;
const bytes = someBytes(9 * 1024 * 1024 + 5);
beforeAll(async () => {
  directory = await temporaryDirectory();
  made = await makeCertificate(directory.path, "gateway");
  await writeFile(join(directory.path, "film.bin"), bytes);
  const flags = ["--host", "0.0.0.0", "--tls-cert", made.certificatePath, "--tls-key", made.keyPath, "--log-level", "debug"];
  server = await startServer(join(directory.path, "data"), flags, TOKEN);
});
afterAll(async () => {
  await server?.[Symbol.asyncDispose]();
  await directory[Symbol.asyncDispose]();
});

const address = (): string => server.url.replace("0.0.0.0", "localhost");

describe("a server with a certificate", () => {
  it("is ready at an https address, and nothing warns of tokens in the clear", async () => {
    expect(server.stdout).toMatch(/^troupe ready https:\/\/0\.0\.0\.0:\d+ roles=all/);
    expect(server.stderr).not.toContain("unencrypted");
  });

  it("I24: serves curl by ranges and links, and logs no signature and no secret", async () => {
    const curl = async (...argv: string[]): Promise<Buffer> =>
      await run("curl", ["-sS", "--fail", "--cacert", made.certificatePath, ...argv]);
    const url = (await curl("-u", "ann:s3cret", "-T", join(directory.path, "film.bin"), `${address()}/put/`)).toString().trim();
    expect(url).toMatch(/^https:\/\/localhost:\d+\/files\//);
    expect((await curl("-u", "ann:s3cret", url)).equals(bytes)).toBe(true);
    const fileId = /\/files\/([0-9a-f]+)/.exec(url)?.[1];
    const link = JSON.parse((await curl("-u", "ann:s3cret", "-X", "POST", `${address()}/api/v1/files/${fileId}/link`)).toString()) as {
      url: string;
    };
    expect((await curl("-r", "70000-8999999", link.url)).equals(bytes.subarray(70_000, 9_000_000))).toBe(true);
    const changed = await endOf("curl", ["-sS", "--cacert", made.certificatePath, `${link.url}x`]);
    expect(JSON.parse(changed.stdout.toString())).toMatchObject({ code: "FORBIDDEN" });
    expect(server.stderr).toContain(`/files/${fileId}`);
    for (const secret of ["s3cret", new URL(link.url).searchParams.get("signature") as string]) expect(server.stderr).not.toContain(secret);
  });

  it("serves the command line, which says what to do about an authority it does not know", async () => {
    const environment = { TROUPE_TOKEN: "s3cret", XDG_STATE_HOME: join(directory.path, "state") };
    const known = { environment: { ...environment, NODE_EXTRA_CA_CERTS: made.certificatePath } };
    const url = (await runTroupe(address(), ["upload", join(directory.path, "film.bin")], known)).trim();
    await runTroupe(address(), ["download", url, "-o", join(directory.path, "back.bin")], known);
    expect((await readFile(join(directory.path, "back.bin"))).equals(bytes)).toBe(true);
    await expect(runTroupe(address(), ["ls"], { environment })).rejects.toThrow(/NODE_EXTRA_CA_CERTS/);
    await expect(runTroupe(address().replace("https", "http"), ["ls"], known)).rejects.toThrow(/This port speaks https/);
  });
});

describe("a server that is started wrongly", () => {
  it("says what is wrong with its certificate, and leaves nothing behind", async () => {
    const data = join(directory.path, "never");
    const { exited, output } = spawnServer(["--port", "0", "--data", data, "--tls-cert", made.keyPath, "--tls-key", made.keyPath]);
    expect(await exited).toBe(1);
    expect(output.err).toMatch(/^troupe: --tls-cert names .*, which holds a key and no certificate/m);
    await expect(readFile(data)).rejects.toMatchObject({ code: "ENOENT" });
  });

  it("warns once of tokens that cross the network unencrypted", async () => {
    await using plain = await startServer(join(directory.path, "plain"), ["--host", "0.0.0.0"], TOKEN);
    expect(plain.stderr.match(/Tokens cross the network unencrypted/g)).toHaveLength(1);
    expect(plain.stderr).not.toContain("s3cret");
  });
});
