/** The range peer: nginx with one worker, serving one folder, or passing on what another server has. */
import { type ChildProcess, spawn } from "node:child_process";
import { access, writeFile } from "node:fs/promises";
import { connect, createServer } from "node:net";
import { delimiter, join } from "node:path";

/** Where it is, also where Debian puts it, which is not on everybody's PATH. */
export async function findNginx(): Promise<string | undefined> {
  for (const folder of [...(process.env["PATH"] ?? "").split(delimiter), "/usr/sbin", "/usr/local/sbin"]) {
    const path = join(folder, "nginx");
    if (
      await access(path).then(
        () => true,
        () => false,
      )
    )
      return path;
  }
  return undefined;
}

export interface Peer {
  readonly url: string;
  stop(): Promise<void>;
}

/** @param folder holds what it serves, and its own files */
export async function startNginx(program: string, folder: string): Promise<Peer> {
  return await start(program, folder, "", `root ${folder};`);
}

/** One hop: connections to the other server are kept, and nothing waits in files. @param folder for its own files */
export async function startNginxProxy(program: string, folder: string, target: string): Promise<Peer> {
  return await start(
    program,
    folder,
    `upstream target { server ${new URL(target).host}; keepalive 64; keepalive_requests 1000000000; }`,
    'location / { proxy_pass http://target; proxy_http_version 1.1; proxy_set_header Connection ""; proxy_max_temp_file_size 0; }',
  );
}

async function start(program: string, folder: string, upstream: string, place: string): Promise<Peer> {
  const port = await freePort();
  const configuration = join(folder, "nginx.conf");
  await writeFile(
    configuration,
    `daemon off; worker_processes 1; pid ${folder}/nginx.pid; error_log ${folder}/nginx.log;
user root;
events { worker_connections 512; }
http {
  access_log off; sendfile on; tcp_nopush on; keepalive_requests 1000000000;
  client_body_temp_path ${folder}/t1; proxy_temp_path ${folder}/t2; fastcgi_temp_path ${folder}/t3; uwsgi_temp_path ${folder}/t4; scgi_temp_path ${folder}/t5;
  ${upstream}
  server { listen 127.0.0.1:${port}; ${place} }
}
`,
  );
  const child = spawn(program, ["-c", configuration, "-p", folder], { stdio: ["ignore", "ignore", "inherit"] });
  await listening(port, child);
  return {
    url: `http://127.0.0.1:${port}`,
    stop: async () => {
      const ended = new Promise((resolve) => child.once("exit", resolve));
      child.kill("SIGTERM");
      await ended;
    },
  };
}

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  await new Promise((resolve) => server.close(resolve));
  if (address === null || typeof address === "string") throw new Error("no port");
  return address.port;
}

async function listening(port: number, child: ChildProcess): Promise<void> {
  for (let attempt = 0; attempt < 200 && child.exitCode === null; attempt += 1) {
    const isOpen = await new Promise<boolean>((resolve) => {
      const socket = connect(port, "127.0.0.1", () => resolve(true));
      socket.on("error", () => resolve(false));
      socket.on("connect", () => socket.destroy());
    });
    if (isOpen) return;
    await new Promise((resolve) => setTimeout(resolve, 25));
  }
  throw new Error("nginx did not start");
}
