/**
 * The gateway's certificate and its key, from files that somebody else renews.
 *
 * C1: what cannot serve (missing, not PEM, expired, a key of another certificate) is one sentence when the process starts.
 * C2: the files are looked at every minute: a renewed pair is taken without a restart. One that cannot serve, perhaps because half of
 *     it is written, is not: the one before stays, and the log says why.
 */
import { createPrivateKey, X509Certificate } from "node:crypto";
import { readFile } from "node:fs/promises";
import { createSecureContext } from "node:tls";
import { TroupeError, toTroupeError } from "../core/errors.ts";
import { CERTIFICATE_CHECK_MS } from "../core/limits.ts";
import type { Log } from "../core/log.ts";
import type { Clock, Timer } from "../core/ports/clock.ts";
import type { CertificatePair, CertificateSource } from "../core/ports/http-exchange.ts";

export interface CertificatePaths {
  readonly certificate: string;
  readonly key: string;
}

export class CertificateFiles implements CertificateSource {
  readonly #ports: { readonly clock: Clock; readonly log: Log };
  readonly #paths: CertificatePaths;
  readonly #listeners = new Set<(pair: CertificatePair) => void>();
  #current: CertificatePair;
  /** The last pair that could not serve: it is told once. */
  #refused: CertificatePair | undefined;
  #timer: Timer | undefined;
  #isClosed = false;

  private constructor(ports: { readonly clock: Clock; readonly log: Log }, paths: CertificatePaths, pair: CertificatePair) {
    this.#ports = ports;
    this.#paths = paths;
    this.#current = pair;
    this.#wait();
  }

  /** @throws {TroupeError} `SETTING_INVALID` (C1) */
  static async open(ports: { readonly clock: Clock; readonly log: Log }, paths: CertificatePaths): Promise<CertificateFiles> {
    const pair = await readPair(paths);
    checkPair(pair, paths, ports.clock.wallMs());
    return new CertificateFiles(ports, paths, pair);
  }

  get current(): CertificatePair {
    return this.#current;
  }

  onRenewal(listener: (pair: CertificatePair) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  close(): void {
    this.#isClosed = true;
    this.#timer?.cancel();
  }

  #wait(): void {
    if (this.#isClosed) return;
    this.#timer = this.#ports.clock.setTimer(CERTIFICATE_CHECK_MS, () => void this.#look().finally(() => this.#wait()));
  }

  async #look(): Promise<void> {
    const { clock, log } = this.#ports;
    let pair: CertificatePair | undefined;
    try {
      pair = await readPair(this.#paths);
      if (isSame(pair, this.#current) || isSame(pair, this.#refused)) return;
      checkPair(pair, this.#paths, clock.wallMs());
      this.#current = pair;
      for (const listener of this.#listeners) listener(pair);
      log.info({ validTo: new X509Certificate(pair.certificate).validTo }, "The renewed certificate is in use.");
    } catch (error) {
      this.#refused = pair;
      log.error({ reason: toTroupeError(error).detail }, "The certificate was changed and cannot be used; the one before stays.");
    }
  }
}

async function readPair({ certificate, key }: CertificatePaths): Promise<CertificatePair> {
  const [certificateText, keyText] = await Promise.all([readPem("--tls-cert", certificate), readPem("--tls-key", key)]);
  return { certificate: certificateText, key: keyText };
}

async function readPem(flag: string, path: string): Promise<string> {
  try {
    return await readFile(path, "utf8");
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    const why = code === "ENOENT" ? "there is no such file" : `it cannot be read (${code ?? String(error)})`;
    throw invalid(`${flag} names ${path}, and ${why}.`, error);
  }
}

/** @throws {TroupeError} `SETTING_INVALID` */
function checkPair({ certificate, key }: CertificatePair, paths: CertificatePaths, nowMs: number): void {
  const leaf = attempt(
    () => new X509Certificate(certificate),
    certificate.includes("PRIVATE KEY")
      ? `--tls-cert names ${paths.certificate}, which holds a key and no certificate; are --tls-cert and --tls-key the wrong way round?`
      : `--tls-cert names ${paths.certificate}, which holds no certificate in PEM (-----BEGIN CERTIFICATE-----).`,
  );
  const privateKey = attempt(
    () => createPrivateKey(key),
    /ENCRYPTED/.test(key)
      ? `--tls-key names ${paths.key}, which wants a passphrase; write it without one (openssl pkey -in ${paths.key} -out …).`
      : `--tls-key names ${paths.key}, which holds no private key in PEM (-----BEGIN PRIVATE KEY-----).`,
  );
  if (!leaf.checkPrivateKey(privateKey)) {
    throw invalid(
      `The key in ${paths.key} is not that of the first certificate in ${paths.certificate}; the server's own certificate stands first, those above it after.`,
    );
  }
  if (Date.parse(leaf.validTo) <= nowMs) throw invalid(`The certificate in ${paths.certificate} ended on ${leaf.validTo}; renew it.`);
  if (Date.parse(leaf.validFrom) > nowMs) {
    throw invalid(`The certificate in ${paths.certificate} is good only from ${leaf.validFrom} on; is this machine's clock right?`);
  }
  attempt(() => createSecureContext({ cert: certificate, key }), `The certificate in ${paths.certificate} cannot be used for TLS`);
}

function attempt<Value>(work: () => Value, sentence: string): Value {
  try {
    return work();
  } catch (error) {
    // What the library says of a key it cannot read tells nothing of the key.
    throw invalid(sentence.endsWith(".") || sentence.endsWith("?") ? sentence : `${sentence}: ${(error as Error).message}.`, error);
  }
}

const invalid = (detail: string, cause?: unknown): TroupeError => new TroupeError("SETTING_INVALID", detail, { cause });

function isSame(pair: CertificatePair, other: CertificatePair | undefined): boolean {
  return pair.certificate === other?.certificate && pair.key === other.key;
}
