/** The command line of a server process. */
import { describe, expect, it } from "vitest";
import { parseServerCommand, type ServerCommand } from "../../src/config/server-command.ts";
import { environmentVariable, SETTING_NAMES, SETTINGS } from "../../src/config/setting-table.ts";

function parse(argv: string[], environment: Record<string, string> = {}): ServerCommand {
  return parseServerCommand({ argv, environment, workingDirectory: "/w", hostname: "host", readFile: () => undefined, version: "1.2.3" });
}

describe("the server's command line", () => {
  it("reads flags, repeated ones too", () => {
    const command = parse(["--port", "0", "--token", "a:1", "--token=b:2", "--max-file=1GB", "--role", "all"]);
    expect(command).toMatchObject({
      kind: "serve",
      resolved: { settings: { port: 0, fileBytesMax: 1e9, tokens: [{ owner: "a" }, { owner: "b" }] } },
    });
  });

  it("prints help that names every setting, with examples", () => {
    const command = parse(["--help"]);
    expect(command.kind).toBe("print");
    const text = command.kind === "print" ? command.text.replace(/\s+/g, " ") : "";
    for (const name of SETTING_NAMES) expect(text).toContain(`--${SETTINGS[name].flag} ${SETTINGS[name].isSwitch ? "" : "<"}`);
    expect(text).toContain("Examples:");
    expect(text).toContain("(default: 8080)");
    expect(text).toContain("Usage: npm start -- [options]");
  });

  it("its help names the script that was run, and every file a secret may be in", () => {
    const command = parse(["--help"], { npm_lifecycle_event: "node" });
    const text = command.kind === "print" ? command.text : "";
    expect(text).toContain("Usage: npm run node -- [options]");
    for (const name of SETTING_NAMES)
      if (SETTINGS[name].isSecret) expect(text).toContain(`${environmentVariable(SETTINGS[name].flag)}_FILE`);
  });

  it("prints the version", () => {
    expect(parse(["--version"])).toEqual({ kind: "print", text: "1.2.3\n" });
  });

  it("refuses an unknown option and suggests the one that was meant", () => {
    const command = parse(["--prot", "9000"]);
    expect(command).toMatchObject({ kind: "refuse", text: expect.stringContaining("Did you mean --port?") });
    expect(parse(["--tls-cert", "x"])).toMatchObject({ kind: "refuse" });
    expect(parse(["stray"])).toMatchObject({ kind: "refuse" });
  });

  it("refuses wrong settings, one sentence a line", () => {
    const command = parse(["--port", "x", "--group", "a b"]);
    expect(command.kind === "refuse" && command.text.trim().split("\n")).toHaveLength(2);
  });

  it("a switch is on when it is given, and takes no word that follows it", () => {
    expect(parse(["--public-read", "--port", "0"])).toMatchObject({
      resolved: { settings: { publicRead: true, trustProxy: false, port: 0 } },
    });
    expect(parse(["--public-read", "yes"])).toMatchObject({ kind: "refuse" });
    expect(parse([], { npm_lifecycle_event: "start", npm_config_trust_proxy: "true" })).toMatchObject({
      kind: "refuse",
      text: expect.stringMatching(/npm start -- --trust-proxy$/m),
    });
  });

  it("notices an option that npm kept for itself, and says how to write it", () => {
    const refused = { kind: "refuse" };
    expect(parse(["9000"], { npm_lifecycle_event: "start", npm_config_port: "true" })).toMatchObject({
      ...refused,
      text: expect.stringContaining("npm start -- --port 9000"),
    });
    expect(parse([], { npm_lifecycle_event: "start", npm_config_data_port: "5" })).toMatchObject({
      ...refused,
      text: expect.stringContaining("npm start -- --data-port 5"),
    });
    expect(parse(["x"], { npm_lifecycle_event: "node", npm_config_role: "true" })).toMatchObject({
      ...refused,
      text: expect.stringContaining("npm run node -- --role x"),
    });
  });

  it("I24: does not repeat a token that npm kept", () => {
    const command = parse([], { npm_lifecycle_event: "start", npm_config_token_description: "alice:SECRET" });
    expect(command).toMatchObject({ kind: "refuse" });
    expect(JSON.stringify(command)).not.toContain("SECRET");
  });

  it("does not mistake npm's own settings for kept options", () => {
    expect(parse([], { npm_lifecycle_event: "start", npm_config_loglevel: "warn", npm_config_prefix: "/usr" })).toMatchObject({
      kind: "serve",
    });
  });
});
