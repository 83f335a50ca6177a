/** What `deploy/README.md` and the units show is what this version understands. */
import { existsSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";
import { NATS_USERS, passwordVariable } from "../../src/bin/cluster/nats-users.ts";
import { resolveSettings } from "../../src/config/settings.ts";

const FOLDER = fileURLToPath(new URL("../../deploy/", import.meta.url));
const readme = readFileSync(`${FOLDER}README.md`, "utf8");
const unit = readFileSync(`${FOLDER}troupe@.service`, "utf8");
const ENVIRONMENT = {
  TROUPE_NATS_FILE: "/etc/troupe/role.nats",
  TROUPE_MYSQL_FILE: "/etc/troupe/role.mysql",
  TROUPE_REDIS_FILE: "/etc/troupe/catalog.redis",
  TROUPE_TOKEN_FILE: "/etc/troupe/gateway.token",
};
const SECRETS: Readonly<Record<string, string>> = {
  "/etc/troupe/role.nats": "nats://storage:pc0ffee@10.0.0.1:4222\n",
  "/etc/troupe/role.mysql": "mysql://troupe:secret@10.0.0.1:3306\n",
  "/etc/troupe/catalog.redis": "redis://:secret@10.0.0.1:6379\n",
  "/etc/troupe/gateway.token": "alice:0123456789abcdef\n",
};

describe("deploy/nats.conf", () => {
  it("gives a client that stands still up within fifteen seconds", () => {
    const configuration = readFileSync(`${FOLDER}nats.conf`, "utf8");
    const seconds = Number(/^ping_interval: "(\d+)s"$/m.exec(configuration)?.[1]);
    const unanswered = Number(/^ping_max: (\d+)$/m.exec(configuration)?.[1]);
    expect(seconds * (unanswered + 1)).toBeLessThanOrEqual(15);
  });
});

describe("deploy/README.md", () => {
  const examples = [...readme.matchAll(/^```json\n(.*?)^```$/gms)].map(([, text]) => text as string);

  it("shows configuration files that a process accepts, with secrets from files", () => {
    expect(examples).toHaveLength(3);
    const roles = examples.map((text) => {
      const { settings, warnings } = resolveSettings({
        flags: { config: "/etc/troupe/role.config.json" },
        environment: ENVIRONMENT,
        workingDirectory: "/srv/troupe",
        hostname: "machine",
        readFile: (path) => SECRETS[path] ?? (path === "/etc/troupe/role.config.json" ? text : undefined),
      });
      expect(warnings).toEqual([]);
      expect(settings.nats).toBe(SECRETS["/etc/troupe/role.nats"]?.trim());
      return settings.roles.join();
    });
    expect(roles).toEqual(["tracker", "storage", "gateway"]);
  });

  it("makes a password for every user of the bus", () => {
    const users = /for user in ([A-Z ]+); do/.exec(readme)?.[1]?.split(" ");
    expect(users?.map((user) => `TROUPE_NATS_${user}_PASSWORD`).sort()).toEqual(NATS_USERS.map(passwordVariable).sort());
  });

  it("passwords of the bus in the environment of a server are nobody's mistake", () => {
    const environment = Object.fromEntries(NATS_USERS.map((user) => [passwordVariable(user), "p1"]));
    const sources = { flags: {}, workingDirectory: "/w", hostname: "machine", readFile: () => undefined };
    expect(resolveSettings({ ...sources, environment }).warnings).toEqual([]);
    expect(resolveSettings({ ...sources, environment: { TROUPE_NATS_PASSWORD: "p1" } }).warnings).toHaveLength(1);
  });

  it("names files and variables that are there", () => {
    for (const [, file] of readme.matchAll(/\]\(([^)#:]+)\)/g)) expect(existsSync(FOLDER + file), file).toBe(true);
    for (const [variable] of `${readme}${unit}`.matchAll(/TROUPE_[A-Z]+_FILE/g)) expect(Object.keys(ENVIRONMENT)).toContain(variable);
  });
});
