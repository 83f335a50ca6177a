/** The server with a certificate, over real sockets. */
import { once } from "node:events";
import { request } from "node:https";
import { connect, type Socket } from "node:net";
import { connect as connectTls } from "node:tls";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { CertificatePair, CertificateSource, HttpHandler, HttpListener } from "../../src/core/ports/http-exchange.ts";
import { NodeHttpServer } from "../../src/gateway/node-http.ts";
import { descriptorOf } from "../../src/gateway/node-http-send-file.ts";
import { type MadeCertificate, makeCertificate } from "../support/certificates.ts";
import { type TemporaryDirectory, temporaryDirectory } from "../support/temporary-directory.ts";
import { VirtualClock } from "../support/virtual-clock.ts";
import { recordingLog } from "./rig.ts";

let directory: TemporaryDirectory;
let first: MadeCertificate;
let second: MadeCertificate;
beforeAll(async () => {
  directory = await temporaryDirectory();
  first = await makeCertificate(directory.path, "first");
  second = await makeCertificate(directory.path, "second");
});
afterAll(() => directory[Symbol.asyncDispose]());

class Renewed implements CertificateSource {
  readonly listeners = new Set<(pair: CertificatePair) => void>();
  current: CertificatePair = first;
  onRenewal(listener: (pair: CertificatePair) => void): () => void {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  }
}

async function stage(handler: HttpHandler) {
  const clock = new VirtualClock();
  const lines: string[] = [];
  const certificate = new Renewed();
  const listener: HttpListener = await new NodeHttpServer({ clock, log: recordingLog(lines) }).listen(
    { host: "127.0.0.1", port: 0, certificate },
    handler,
  );
  return {
    listener,
    certificate,
    lines,
    async [Symbol.asyncDispose]() {
      const closed = listener.close(0);
      await clock.advance(1);
      await closed;
      expect(certificate.listeners.size).toBe(0);
    },
  };
}

/** An answer to GET, and whose certificate it came with. */
async function get(url: string, headers: Record<string, string> = {}): Promise<{ status: number; body: Buffer; issuer: string }> {
  const asking = request(url, { ca: [first.certificate, second.certificate], headers, agent: false }).end();
  const [answer] = (await once(asking, "response")) as [import("node:http").IncomingMessage];
  const issuer = String((answer.socket as import("node:tls").TLSSocket).getPeerCertificate().issuer.CN);
  const blocks: Buffer[] = [];
  for await (const block of answer) blocks.push(block as Buffer);
  return { status: answer.statusCode as number, body: Buffer.concat(blocks), issuer };
}

/** What a plain connection that says this is answered, until it is closed. */
async function plainly(port: number, said: string | Uint8Array): Promise<string> {
  const socket = connect({ port, host: "127.0.0.1" });
  let received = "";
  socket.on("data", (bytes) => {
    received += bytes.toString("latin1");
  });
  socket.on("error", () => undefined);
  socket.write(said);
  await once(socket, "close");
  return received;
}

describe("a server with a certificate", () => {
  test("speaks https, and its requests say so", async () => {
    await using house = await stage(async ({ secure, target }) => ({ status: 200, headers: {}, body: `${secure} ${target}` }));
    expect(house.listener.url).toBe(`https://127.0.0.1:${house.listener.port}`);
    expect(await get(`${house.listener.url}/a`)).toMatchObject({ status: 200, body: Buffer.from("true /a"), issuer: "first" });
  });

  test("never hands a region of a file to an encrypted connection: it would go out as it is", async () => {
    const bytes = Buffer.alloc(3_000_000, "0123456789");
    await using house = await stage(async () => {
      let at = 0;
      const region = {
        next: async () => {
          const block = bytes.subarray(at, (at += 100_000));
          return block.length === 0 ? { done: true as const, value: undefined } : { done: false as const, value: block };
        },
        region: () => ({ descriptor: 0, offset: at, lengthBytes: bytes.length - at }),
        skip: () => {
          throw new Error("a region was handed on");
        },
      };
      return { status: 200, headers: { "content-length": String(bytes.length) }, body: { [Symbol.asyncIterator]: () => region } };
    });
    const answer = await get(house.listener.url);
    expect(answer.body.equals(bytes)).toBe(true);
    expect(descriptorOf({ encrypted: true, _handle: { fd: 5 } } as unknown as Socket)).toBeUndefined();
    expect(descriptorOf({ _handle: { fd: 5 } } as unknown as Socket)).toBe(5);
    expect(house.lines).toEqual([]);
  });

  test("tells whoever speaks plain HTTP what to write, and lives on", async () => {
    await using house = await stage(async () => ({ status: 200, headers: {}, body: "x" }));
    const told = await plainly(house.listener.port, "GET /a HTTP/1.1\r\nHost: localhost\r\n\r\n");
    expect(told).toMatch(/^HTTP\/1\.1 400 [\s\S]*application\/problem\+json[\s\S]*This port speaks https: write https:\/\//);
    expect(await plainly(house.listener.port, "hello\r\n\r\n")).not.toContain("200");
    expect(await plainly(house.listener.port, new Uint8Array(2_000).fill(22))).not.toContain("200");
    expect((await get(house.listener.url)).status).toBe(200);
  });

  test("refuses TLS before 1.2", async () => {
    await using house = await stage(async () => ({ status: 200, headers: {}, body: "x" }));
    const socket = connectTls({
      port: house.listener.port,
      host: "127.0.0.1",
      ca: first.certificate,
      minVersion: "TLSv1",
      maxVersion: "TLSv1.1",
      ciphers: "DEFAULT@SECLEVEL=0",
    });
    const [error] = (await once(socket, "error")) as [NodeJS.ErrnoException];
    expect(error.code).toMatch(/^ERR_SSL|ECONNRESET/);
  });

  test("uses a renewed certificate from the next connection on, and breaks off none", async () => {
    const gate = Promise.withResolvers<void>();
    await using house = await stage(async ({ target }) => {
      if (target === "/slow") await gate.promise;
      return { status: 200, headers: {}, body: target };
    });
    const slow = get(`${house.listener.url}/slow`);
    expect((await get(house.listener.url)).issuer).toBe("first");
    for (const listener of house.certificate.listeners) listener(second);
    expect((await get(house.listener.url)).issuer).toBe("second");
    gate.resolve();
    expect(await slow).toMatchObject({ body: Buffer.from("/slow"), issuer: "first" });
  });
});
