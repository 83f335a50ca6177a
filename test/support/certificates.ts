/** Certificates for names of this machine, made by openssl in a test's own directory. Each signs itself, so it is its own authority. */
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { run } from "./program.ts";

export interface MadeCertificate {
  readonly certificatePath: string;
  readonly keyPath: string;
  readonly certificate: string;
  readonly key: string;
}

/** Good from now on, for two days. */
export async function makeCertificate(directory: string, name: string): Promise<MadeCertificate> {
  const certificatePath = join(directory, `${name}.pem`);
  const keyPath = join(directory, `${name}.key`);
  const kind = ["-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"];
  const names = ["-subj", `/CN=${name}`, "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"];
  await run("openssl", ["req", ...kind, ...names, "-keyout", keyPath, "-out", certificatePath]);
  return { certificatePath, keyPath, certificate: await readFile(certificatePath, "utf8"), key: await readFile(keyPath, "utf8") };
}
