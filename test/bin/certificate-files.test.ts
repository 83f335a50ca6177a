/** A certificate in files: what cannot serve is told in words, and what was renewed is taken. */
import { rename, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { CertificateFiles } from "../../src/bin/certificate-files.ts";
import { CERTIFICATE_CHECK_MS } from "../../src/core/limits.ts";
import { recordingLog } from "../gateway/rig.ts";
import { type MadeCertificate, makeCertificate } from "../support/certificates.ts";
import { run } from "../support/program.ts";
import { type TemporaryDirectory, temporaryDirectory } from "../support/temporary-directory.ts";
import { VirtualClock } from "../support/virtual-clock.ts";

const DAY_MS = 86_400_000;

let directory: TemporaryDirectory;
let first: MadeCertificate;
let second: MadeCertificate;
beforeAll(async () => {
  directory = await temporaryDirectory();
  first = await makeCertificate(directory.path, "first");
  second = await makeCertificate(directory.path, "second");
});
afterAll(() => directory[Symbol.asyncDispose]());

const wallMs = (): number => Date.now();
const open = (paths: { certificate: string; key: string }, clock = new VirtualClock(wallMs()), lines: string[] = []) =>
  CertificateFiles.open({ clock, log: recordingLog(lines) }, paths);

describe("a certificate that cannot serve is one sentence", () => {
  const faultOf = async (certificate: string, key: string, clock?: VirtualClock): Promise<string> => {
    try {
      (await open({ certificate, key }, clock)).close();
    } catch (error) {
      return (error as Error).message;
    }
    return "none";
  };

  it("when a file is missing, or cannot be read", async () => {
    expect(await faultOf("/nowhere/c.pem", first.keyPath)).toMatch(/--tls-cert names \/nowhere\/c\.pem, and there is no such file\.$/);
    expect(await faultOf(first.certificatePath, directory.path)).toMatch(/--tls-key names .*, and it cannot be read \(EISDIR\)\.$/);
  });

  it("when the two are swapped, are something else, or the key wants a passphrase", async () => {
    const text = join(directory.path, "text");
    await writeFile(text, "hello");
    const locked = join(directory.path, "locked.key");
    await run("openssl", ["pkey", "-in", first.keyPath, "-aes256", "-passout", "pass:word", "-out", locked]);
    expect(await faultOf(first.keyPath, first.certificatePath)).toMatch(/the wrong way round\?$/);
    expect(await faultOf(text, first.keyPath)).toMatch(/holds no certificate in PEM/);
    expect(await faultOf(first.certificatePath, text)).toMatch(/holds no private key in PEM/);
    expect(await faultOf(first.certificatePath, locked)).toMatch(/wants a passphrase; write it without one \(openssl pkey/);
  });

  it("when the key is another certificate's", async () => {
    expect(await faultOf(first.certificatePath, second.keyPath)).toMatch(/is not that of the first certificate in .*first\.pem/);
  });

  it("when it has ended, or has not begun", async () => {
    expect(await faultOf(first.certificatePath, first.keyPath, new VirtualClock(wallMs() + 3 * DAY_MS))).toMatch(
      /ended on .*; renew it\.$/,
    );
    expect(await faultOf(first.certificatePath, first.keyPath, new VirtualClock(wallMs() - DAY_MS))).toMatch(
      /is this machine's clock right\?$/,
    );
    expect(await faultOf(first.certificatePath, first.keyPath)).toBe("none");
  });
});

describe("a renewed certificate", () => {
  /** A minute, and what is done in it: the next look is set when this one is over. */
  async function minute(clock: VirtualClock): Promise<void> {
    await clock.advance(CERTIFICATE_CHECK_MS);
    await expect.poll(() => clock.timerCount, { interval: 1 }).toBe(1);
  }

  it("is in use within a minute; one that cannot serve is told once, and the one before stays", async () => {
    const clock = new VirtualClock(wallMs());
    const lines: string[] = [];
    const paths = { certificate: join(directory.path, "live.pem"), key: join(directory.path, "live.key") };
    const put = async (pair: { certificate: string; key: string }): Promise<void> => {
      for (const part of ["certificate", "key"] as const) {
        await writeFile(`${paths[part]}.new`, pair[part]);
        await rename(`${paths[part]}.new`, paths[part]);
      }
    };
    await put(first);
    const files = await open(paths, clock, lines);
    const heard: string[] = [];
    const stop = files.onRenewal(({ certificate }) => heard.push(certificate));
    await minute(clock);
    expect([heard, lines]).toEqual([[], []]);

    await put({ certificate: second.certificate, key: first.key });
    await minute(clock);
    await minute(clock);
    expect(lines).toEqual([
      expect.stringMatching(/The certificate was changed and cannot be used; the one before stays\..*is not that of the first/),
    ]);
    expect([heard, files.current.certificate]).toEqual([[], first.certificate]);

    await put(second);
    await minute(clock);
    expect([heard, files.current]).toEqual([[second.certificate], { certificate: second.certificate, key: second.key }]);
    expect(lines).toHaveLength(2);
    expect(lines.join()).not.toContain("PRIVATE KEY");

    stop();
    files.close();
    expect(clock.timerCount).toBe(0);
  });
});
