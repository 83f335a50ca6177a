/** The files in deploy/reverse-proxy, with the real Caddy and nginx before a real server: what users do works through them, by https. */
import { once } from "node:events";
import { mkdir, readFile, writeFile } from "node:fs/promises";
import type { ClientRequest, IncomingMessage } from "node:http";
import { request } from "node:https";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type EngineProcess, findProgram, freePort, startEngine } from "../../src/bin/engines/engine-process.ts";
import { makeCertificate } from "../support/certificates.ts";
import { run, runTroupe } from "../support/program.ts";
import { type ServerProcess, startServer } from "../support/server-process.ts";
import { type TemporaryDirectory, temporaryDirectory } from "../support/temporary-directory.ts";
import { someBytes } from "../support/troupe.ts";

const FOLDER = fileURLToPath(new URL("../../deploy/reverse-proxy/", import.meta.url));
const MIB = 1024 * 1024;

interface Proxy {
  readonly url: string;
  /** A file with whom to trust. */
  readonly authority: string;
  readonly process: EngineProcess;
}

type Start = (directory: string, gatewayPort: number, port: number) => Promise<Proxy>;

/** A proxy's own file, with what users change changed; each change must be in it. */
function changed(text: string, changes: readonly (readonly [from: string, to: string])[]): string {
  for (const [from, to] of changes) {
    if (!text.includes(from)) throw new Error(`the file has no ${JSON.stringify(from)}`);
    text = text.replaceAll(from, to);
  }
  return text;
}

const startCaddy: Start = async (directory, gatewayPort, port) => {
  const configuration = join(directory, "Caddyfile");
  const unused = await freePort();
  const options = [
    "admin off",
    "skip_install_trust",
    "auto_https disable_redirects",
    `http_port ${unused}`,
    `storage file_system ${directory}/caddy`,
  ];
  await writeFile(configuration, `{\n${options.join("\n")}\n}\nimport ${FOLDER}Caddyfile\n`);
  const authority = join(directory, "caddy/pki/authorities/local/root.crt");
  const process = await startEngine({
    name: "Caddy",
    programs: ["caddy"],
    argv: ["run", "--config", configuration, "--adapter", "caddyfile"],
    environment: { TROUPE_SITE: `https://localhost:${port}`, TROUPE_GATEWAY: `127.0.0.1:${gatewayPort}`, HOME: directory },
    isReady: () => answers(port),
  });
  return { url: `https://localhost:${port}`, authority, process };
};

const startNginx: Start = async (directory, gatewayPort, port) => {
  const { certificatePath, keyPath } = await makeCertificate(directory, "proxy");
  const site = changed(await readFile(join(FOLDER, "nginx.conf"), "utf8"), [
    ["127.0.0.1:8080", `127.0.0.1:${gatewayPort}`],
    ["listen 443 ssl; # <--", `listen 127.0.0.1:${port} ssl;`],
    ["listen [::]:443 ssl; # <--", ""],
    ["server_name files.example", "server_name localhost"],
    ["/etc/letsencrypt/live/files.example/fullchain.pem", certificatePath],
    ["/etc/letsencrypt/live/files.example/privkey.pem", keyPath],
  ]);
  await mkdir(join(directory, "nginx"));
  await writeFile(join(directory, "site.conf"), site);
  const folders = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"].map((name) => `${name}_temp_path ${directory}/nginx/${name};`);
  const http = `http { access_log off; ${folders.join(" ")} include ${directory}/site.conf; }`;
  const configuration = join(directory, "nginx.conf");
  await writeFile(configuration, `daemon off; pid ${directory}/nginx.pid; error_log stderr; events {} ${http}\n`);
  const process = await startEngine({
    name: "nginx",
    programs: ["nginx"],
    argv: ["-p", directory, "-e", "stderr", "-c", configuration],
    isReady: () => answers(port),
  });
  return { url: `https://localhost:${port}`, authority: certificatePath, process };
};

async function answers(port: number): Promise<boolean> {
  return await new Promise((resolve) => {
    const asking = request({ host: "localhost", port, path: "/healthz", rejectUnauthorized: false }, (answer) => {
      answer.resume();
      resolve(answer.statusCode === 200);
    });
    asking.on("error", () => resolve(false)).end();
  });
}

const PROXIES: readonly (readonly [program: string, start: Start])[] = [
  ["caddy", startCaddy],
  ["nginx", startNginx],
];

describe.each(PROXIES)("behind %s", (program, start) => {
  if (findProgram([program]) === undefined) return it.skip(`is not tried: ${program} is not installed`, () => undefined);
  let directory: TemporaryDirectory;
  let server: ServerProcess;
  let proxy: Proxy;
  const bytes = someBytes(20 * MIB + 7);

  beforeAll(async () => {
    directory = await temporaryDirectory();
    const port = await freePort();
    const gatewayPort = await freePort();
    const flags = ["--port", String(gatewayPort), "--trust-proxy", "--public-url", `https://localhost:${port}`];
    server = await startServer(join(directory.path, "data"), flags, { TROUPE_TOKEN: "ann:s3cret" });
    proxy = await start(directory.path, gatewayPort, port);
    await writeFile(join(directory.path, "film.bin"), bytes);
  });
  afterAll(async () => {
    await proxy?.process.stop();
    await server?.[Symbol.asyncDispose]();
    await directory[Symbol.asyncDispose]();
  });

  const curl = async (...argv: string[]): Promise<Buffer> =>
    await run("curl", ["-sS", "--fail", "--cacert", proxy.authority, "-u", "ann:s3cret", ...argv]);
  const put = async (name: string): Promise<string> =>
    (await curl("-T", join(directory.path, "film.bin"), `${proxy.url}/put/${name}`)).toString().trim();

  async function asking(method: string, path: string, headers: Record<string, string> = {}): Promise<ClientRequest> {
    const authorization = `Basic ${Buffer.from("ann:s3cret").toString("base64")}`;
    return request(`${proxy.url}${path}`, {
      method,
      ca: await readFile(proxy.authority),
      headers: { authorization, ...headers },
      agent: false,
    });
  }

  async function answerTo(asked: ClientRequest): Promise<IncomingMessage> {
    const [answer] = (await once(asked, "response")) as [IncomingMessage];
    return answer;
  }

  async function jsonOf(
    method: string,
    path: string,
    body?: string | Uint8Array,
    headers: Record<string, string> = {},
  ): Promise<Record<string, unknown>> {
    const answer = await answerTo((await asking(method, path, headers)).end(body));
    return JSON.parse(Buffer.concat(await answer.toArray()).toString()) as Record<string, unknown>;
  }

  it("a file is stored and read back, whole and in ranges, under the address that the answer gave", async () => {
    const address = await put("a%20film.bin");
    expect(address).toMatch(new RegExp(`^${proxy.url}/files/[0-9a-f]+/a%20film\\.bin$`));
    expect((await curl(address)).equals(bytes)).toBe(true);
    expect((await curl("-r", "1000000-1999999", address)).equals(bytes.subarray(1_000_000, 2_000_000))).toBe(true);
    const head = (await curl("-I", address)).toString().toLowerCase();
    expect(head).toContain(`content-length: ${bytes.length}`);
    expect(head).toContain("accept-ranges: bytes");
    expect(head).not.toContain("content-encoding");
  });

  it("a link plays without a token, and a page signs in with a cookie that travels by https only", async () => {
    const fileId = /\/files\/([0-9a-f]+)\//.exec(await put("b.bin"))?.[1] as string;
    const { url } = await jsonOf("POST", `/api/v1/files/${fileId}/link`);
    expect((await run("curl", ["-sS", "--fail", "--cacert", proxy.authority, String(url)])).equals(bytes)).toBe(true);
    const headers = { "content-type": "application/json", origin: proxy.url };
    const signedIn = await answerTo((await asking("POST", "/api/v1/session", headers)).end());
    expect(signedIn.headers["set-cookie"]?.[0]).toMatch(/; Secure$/);
    const foreign = await jsonOf("POST", "/api/v1/session", "{}", { ...headers, origin: "https://evil.example" });
    expect(foreign["code"]).toBe("FOREIGN_ORIGIN");
    signedIn.resume();
  });

  it("a body goes through as it comes: a chunk of it is stored before the rest is sent", async () => {
    const upload = (await asking("PUT", "/put/slow.bin", { "transfer-encoding": "chunked" })) as ClientRequest;
    upload.write(bytes.subarray(0, 12 * MIB));
    const stored = async (): Promise<boolean> => {
      const { uploads } = (await jsonOf("GET", "/api/v1/uploads?state=receiving")) as { uploads: { uploadId: string; name: string }[] };
      const found = uploads.find(({ name }) => name === "slow.bin");
      if (found === undefined) return false;
      return ((await jsonOf("GET", `/api/v1/uploads/${found.uploadId}`))["receivedCount"] as number) >= 1;
    };
    await expect.poll(stored, { interval: 50 }).toBe(true);
    upload.end(bytes.subarray(12 * MIB));
    const answer = await answerTo(upload);
    const address = Buffer.concat(await answer.toArray()).toString();
    expect([answer.statusCode, (await curl(address.trim())).equals(bytes)]).toEqual([201, true]);
  });

  it("events arrive when they happen", async () => {
    const { uploadId } = await jsonOf("POST", "/api/v1/uploads", '{"name":"c","size":1}', { "content-type": "application/json" });
    const events = await answerTo((await asking("GET", `/api/v1/uploads/${String(uploadId)}/events`)).end());
    let heard = "";
    events.on("data", (block: Buffer) => {
      heard += block.toString();
    });
    await expect.poll(() => heard, { interval: 20 }).toContain("receiving");
    const chunk = await jsonOf("PUT", `/api/v1/uploads/${String(uploadId)}/chunks/0`, "x");
    expect(chunk).toMatchObject({ index: 0, durable: true });
    expect((await jsonOf("POST", `/api/v1/uploads/${String(uploadId)}/merge`))["url"]).toMatch(new RegExp(`^${proxy.url}/files/`));
    await expect.poll(() => heard, { interval: 20 }).toContain("merged");
    events.destroy();
  });

  it("tus goes through, and its addresses are the proxy's", async () => {
    const tus = { "tus-resumable": "1.0.0" };
    const created = await answerTo((await asking("POST", "/tus/", { ...tus, "upload-length": String(bytes.length) })).end());
    const path = new URL(String(created.headers.location), proxy.url);
    expect([created.statusCode, path.origin]).toEqual([201, proxy.url]);
    created.resume();
    let offset = 0;
    for (const end of [9 * MIB + 11, bytes.length]) {
      const headers = { ...tus, "upload-offset": String(offset), "content-type": "application/offset+octet-stream" };
      const patched = await answerTo((await asking("PATCH", path.pathname, headers)).end(bytes.subarray(offset, end)));
      expect([patched.statusCode, patched.headers["upload-offset"]]).toEqual([204, String(end)]);
      patched.resume();
      offset = end;
    }
    const { fileId } = await jsonOf("GET", `/api/v1/uploads/${path.pathname.split("/").at(-1)}`);
    expect((await curl(`${proxy.url}/files/${String(fileId)}`)).equals(bytes)).toBe(true);
  });

  it("the command line stores and fetches, with the authority it is told to trust", async () => {
    const environment = { TROUPE_TOKEN: "ann:s3cret", NODE_EXTRA_CA_CERTS: proxy.authority, XDG_STATE_HOME: join(directory.path, "state") };
    const address = (await runTroupe(proxy.url, ["upload", join(directory.path, "film.bin")], { environment })).trim();
    expect(address.startsWith(`${proxy.url}/files/`)).toBe(true);
    await runTroupe(proxy.url, ["download", address, "-o", join(directory.path, "back.bin")], { environment });
    expect((await readFile(join(directory.path, "back.bin"))).equals(bytes)).toBe(true);
  });
});
