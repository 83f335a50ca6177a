/** Where a setting comes from, and what is said when it is wrong. */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { advertisedUrl, parseAdvertise } from "../../src/config/advertise.ts";
import { configKey, environmentVariable, isLoopback, SETTING_NAMES, SETTINGS } from "../../src/config/setting-table.ts";
import { type ResolvedSettings, resolveSettings, type SettingSources } from "../../src/config/settings.ts";
import { TroupeError } from "../../src/core/errors.ts";

const CONFIG = "/srv/here/troupe.config.json";

function resolveFrom(sources: Partial<SettingSources> & { files?: Record<string, string> } = {}): ResolvedSettings {
  const { files = {}, ...rest } = sources;
  return resolveSettings({
    flags: {},
    environment: {},
    workingDirectory: "/srv/here",
    hostname: "media-1.example.org",
    readFile: (path) => files[path],
    ...rest,
  });
}

function problemsOf(sources: Parameters<typeof resolveFrom>[0]): readonly string[] {
  try {
    resolveFrom(sources);
  } catch (error) {
    if (error instanceof TroupeError && error.code === "SETTING_INVALID") return error.facts["problems"] as string[];
    throw error;
  }
  return [];
}

const reportOf = (resolved: ResolvedSettings, key: string) => resolved.reports.find((report) => report.key === key);

describe("defaults", () => {
  it("are what the documentation promises", () => {
    const { settings, warnings } = resolveFrom();
    expect(settings).toEqual({
      roles: ["tracker", "ids", "catalog", "storage", "gateway"],
      nodeId: undefined,
      group: "group001",
      zone: "media-1-example-org",
      dataDirectory: "/srv/here/data",
      host: "127.0.0.1",
      port: 8080,
      dataPort: 0,
      metricsPort: undefined,
      advertise: undefined,
      nats: undefined,
      natsCredentials: undefined,
      mysql: undefined,
      redis: undefined,
      databasePrefix: "troupe_",
      publicUrl: undefined,
      tokens: [],
      publicRead: false,
      trustProxy: false,
      tlsCertificate: undefined,
      tlsKey: undefined,
      corsOrigins: [],
      heartbeatMs: 3000,
      offlineAfterMs: 10_000,
      idleExpiryMs: 86_400_000,
      endedLogMs: 86_400_000,
      otlp: undefined,
      fileBytesMax: 5 * 1024 ** 4,
      verifyAgeMs: 3_600_000,
      deleteGraceMs: 60_000,
      overloadStallMs: 1_000,
      logLevel: "info",
    });
    expect(warnings).toEqual([]);
  });

  it("make an identity of any host name", () => {
    fc.assert(fc.property(fc.string(), (hostname) => /^[A-Za-z0-9_-]{1,64}$/.test(resolveFrom({ hostname }).settings.zone)));
  });

  it("are read back by their own parser, and each flag has one line of help", () => {
    for (const name of SETTING_NAMES) {
      const setting = SETTINGS[name];
      expect(() => setting.parse(setting.initial({ hostname: "h" }))).not.toThrow();
      expect(setting.help).not.toMatch(/\n|\.$/);
    }
  });
});

describe("precedence", () => {
  const everywhere = {
    flags: { port: "1" },
    environment: { TROUPE_PORT: "2" },
    files: { [CONFIG]: '{ "port": 3 }' },
  };

  it("is flag over environment over file over default", () => {
    expect(resolveFrom(everywhere).settings.port).toBe(1);
    expect(resolveFrom({ ...everywhere, flags: {} }).settings.port).toBe(2);
    expect(resolveFrom({ ...everywhere, flags: {}, environment: {} }).settings.port).toBe(3);
    expect(resolveFrom({}).settings.port).toBe(8080);
  });

  it("holds for every setting, whatever the others are set to", () => {
    const values: Record<string, [string, string, string]> = {
      "node-id": ["a", "b", "c"],
      group: ["a", "b", "c"],
      data: ["/a", "/b", "/c"],
      port: ["1", "2", "3"],
      "idle-expiry": ["1h", "2h", "3h"],
      "max-file": ["1MB", "2MB", "3MB"],
      "log-level": ["debug", "warn", "error"],
      "cors-origin": ["https://a", "https://b", "https://c"],
    };
    const presence = fc.record(
      Object.fromEntries(Object.keys(values).map((flag) => [flag, fc.tuple(fc.boolean(), fc.boolean(), fc.boolean())])),
    );
    fc.assert(
      fc.property(presence, (present) => {
        const flags: Record<string, string> = {};
        const environment: Record<string, string> = {};
        const file: Record<string, string> = {};
        for (const [flag, [inFlags, inEnvironment, inFile]] of Object.entries(present) as [string, boolean[]][]) {
          const [first, second, third] = values[flag] as [string, string, string];
          if (inFlags) flags[configKey(flag)] = first;
          if (inEnvironment) environment[environmentVariable(flag)] = second;
          if (inFile) file[configKey(flag)] = third;
        }
        const resolved = resolveFrom({ flags, environment, files: { [CONFIG]: JSON.stringify(file) } });
        for (const [flag, [inFlags, inEnvironment, inFile]] of Object.entries(present) as [string, boolean[]][]) {
          const expected = inFlags ? `--${flag}` : inEnvironment ? environmentVariable(flag) : inFile ? CONFIG : "default";
          expect(reportOf(resolved, configKey(flag))?.from).toBe(expected);
        }
      }),
    );
  });

  it("takes the configuration file from the flag, else from the environment", () => {
    const files = { "/etc/one.json": '{"port":1}', "/srv/here/two.json": '{"port":2}', [CONFIG]: '{"port":3}' };
    expect(resolveFrom({ flags: { config: "/etc/one.json" }, environment: { TROUPE_CONFIG: "two.json" }, files }).settings.port).toBe(1);
    expect(resolveFrom({ environment: { TROUPE_CONFIG: "two.json" }, files }).settings.port).toBe(2);
  });
});

describe("the configuration file", () => {
  it.each([
    ["an unknown key", '{ "prot": 1 }', /sets "prot", which is not a setting/],
    ["something that is not JSON", "{ port: 1 }", /is not valid JSON/],
    ["a list", "[]", /does not hold a JSON object/],
    ["a value of the wrong kind", '{ "port": true }', /neither text nor a number/],
    ["a value of the wrong form", '{ "port": "x" }', /--port "x" \(from \/srv\/here\/troupe\.config\.json\): a port is/],
  ])("is refused in words for %s", (_, text, words) => {
    expect(problemsOf({ files: { [CONFIG]: text } }).join()).toMatch(words);
  });

  it("must be there when it is named, and need not be otherwise", () => {
    expect(problemsOf({ flags: { config: "other.json" } }).join()).toMatch(/other\.json, and there is no such file/);
    expect(problemsOf({})).toEqual([]);
  });

  it("may hold lists and numbers", () => {
    const { settings } = resolveFrom({
      files: { [CONFIG]: '{ "corsOrigin": ["https://a.example", "https://b.example/"], "maxFile": 1000, "verifyAge": 0 }' },
    });
    expect(settings).toMatchObject({ corsOrigins: ["https://a.example", "https://b.example"], fileBytesMax: 1000, verifyAgeMs: 0 });
  });
});

describe("tokens", () => {
  it("come from flags, the environment, or a file the environment names", () => {
    expect(resolveFrom({ flags: { token: ["a:1", "b:x:y"] } }).settings.tokens).toEqual([
      { owner: "a", secret: "1" },
      { owner: "b", secret: "x:y" },
    ]);
    expect(resolveFrom({ environment: { TROUPE_TOKEN: "a:1 b:2" } }).settings.tokens).toHaveLength(2);
    const fromFile = resolveFrom({ environment: { TROUPE_TOKEN_FILE: "/run/secrets/t" }, files: { "/run/secrets/t": "a:1\nb:2\n" } });
    expect(fromFile.settings.tokens).toHaveLength(2);
    expect(reportOf(fromFile, "token")).toMatchObject({ from: "TROUPE_TOKEN_FILE", value: "a:(secret) b:(secret)" });
  });

  it.each(["otlp", "publicUrl"])("I24: a password in the address of --%s, which may have none, is not repeated", (flag) => {
    const [problem] = problemsOf({ flags: { [flag]: "http://user:SECRETpassword@host:1" } });
    expect(problem).toContain("http://user:(secret)@host:1");
    expect(problem).not.toContain("SECRET");
  });

  it("are wanted once only, and each secret for one owner", () => {
    expect(problemsOf({ environment: { TROUPE_TOKEN: "a:1", TROUPE_TOKEN_FILE: "/t" }, files: { "/t": "b:2" } }).join()).toMatch(
      /both set/,
    );
    expect(problemsOf({ flags: { token: ["a:same", "b:same"] } }).join()).toMatch(/have the same secret/);
    expect(resolveFrom({ flags: { token: ["a:old", "a:new"] } }).settings.tokens).toHaveLength(2);
  });

  it("I24: never appear in reports or in what is said about faults", () => {
    const secret = fc.stringMatching(/^[A-Za-z0-9]{12,30}$/).map((text) => `SECRET${text}`);
    const broken = fc.oneof(
      secret,
      secret.map((text) => `${text} x`),
      secret.map((text) => `:${text}`),
      secret.map((text) => `$a:${text}`),
      secret.map((text) => `o:${text}`),
    );
    fc.assert(
      fc.property(broken, fc.constantFrom("flag", "environment", "file", "json"), (token, place) => {
        const sources = {
          flag: { flags: { token: [token, "b:1"] } },
          environment: { environment: { TROUPE_TOKEN: token } },
          file: { environment: { TROUPE_TOKEN_FILE: "/t" }, files: { "/t": token } },
          json: { files: { [CONFIG]: `{ "token": ["${token}"], "port": "wrong" }` } },
        }[place];
        let said: string;
        try {
          said = JSON.stringify(resolveFrom(sources).reports);
        } catch (error) {
          said = `${(error as TroupeError).message}${JSON.stringify((error as TroupeError).facts)}`;
        }
        expect(said).not.toContain("SECRET");
      }),
    );
    expect(problemsOf({ files: { [CONFIG]: '{ "token": "a:SECRET", }' } }).join()).not.toContain("SECRET");
  });

  it("are wanted before the gateway listens for other machines", () => {
    expect(problemsOf({ flags: { host: "0.0.0.0" } }).join()).toMatch(/give --token owner:secret as well/);
    expect(problemsOf({ flags: { host: "0.0.0.0", token: ["a:1"] } })).toEqual([]);
    const storage = { role: "storage", nats: "nats://a:b@10.0.0.1:4222", host: "10.0.0.2" };
    expect(problemsOf({ flags: storage })).toEqual([]);
    expect(problemsOf({ flags: { ...storage, metricsPort: "9104" } }).join()).toMatch(
      /--metrics-port on --host 10\.0\.0\.2 .* give --token/,
    );
    expect(problemsOf({ flags: { ...storage, metricsPort: "9104", token: ["a:1"] } })).toEqual([]);
    expect(problemsOf({ flags: { ...storage, metricsPort: "65536" } }).join()).toMatch(/--metrics-port "65536": a port is a number/);
    expect(["127.0.0.1", "127.9.9.9", "::1", "localhost"].every(isLoopback)).toBe(true);
    expect(["0.0.0.0", "::", "10.0.0.1", "localhost.example", "127.0.0.1.example", "1270.0.0.1"].some(isLoopback)).toBe(false);
  });
});

describe("a switch", () => {
  it("is on as a flag, and true or false elsewhere", () => {
    const on = [
      { flags: { publicRead: true as const } },
      { environment: { TROUPE_PUBLIC_READ: "true" } },
      { files: { [CONFIG]: '{"publicRead": true}' } },
    ];
    for (const sources of on) expect(resolveFrom(sources).settings).toMatchObject({ publicRead: true, trustProxy: false });
    expect(resolveFrom({ flags: { publicRead: true }, environment: { TROUPE_PUBLIC_READ: "false" } }).settings.publicRead).toBe(true);
    expect(resolveFrom({ environment: { TROUPE_PUBLIC_READ: "false" } }).settings.publicRead).toBe(false);
    expect(problemsOf({ files: { [CONFIG]: '{"port": true}' } }).join()).toMatch(/neither text nor a number/);
  });
});

describe("tokens that cross the network unencrypted", () => {
  it("are warned of, unless there is TLS here or before it", () => {
    const warned = (flags: Record<string, string | string[] | true>) =>
      resolveFrom({ flags: { host: "10.0.0.5", token: ["a:1"], ...flags } }).warnings;
    expect(warned({})).toEqual([
      expect.stringMatching(/^Tokens cross the network unencrypted: the gateway listens on 10\.0\.0\.5 by plain HTTP/),
    ]);
    expect(warned({ publicUrl: "http://files.example" })).toHaveLength(1);
    for (const flags of [
      { tlsCert: "c", tlsKey: "k" },
      { trustProxy: true as const },
      { publicUrl: "https://files.example" },
      { host: "127.0.0.1" },
    ])
      expect(warned(flags)).toEqual([]);
    expect(warned({ host: "::1" })).toEqual([]);
  });
});

describe("paths of a certificate", () => {
  it("begin where the process was started", () => {
    const { settings } = resolveFrom({ flags: { tlsCert: "tls/c.pem", tlsKey: "/etc/k.pem" } });
    expect(settings).toMatchObject({ tlsCertificate: "/srv/here/tls/c.pem", tlsKey: "/etc/k.pem" });
  });
});

describe("faults", () => {
  it("are all told in one go", () => {
    expect(problemsOf({ flags: { port: "x", heartbeat: "3", group: "a b" } })).toHaveLength(3);
  });

  it.each([
    [{ port: "65536" }, /0 to 65535/],
    [{ tlsCert: "c.pem" }, /--tls-cert and --tls-key belong together: give --tls-key/],
    [{ tlsKey: "k.pem" }, /give --tls-cert/],
    [{ tlsCert: "c.pem", tlsKey: "k.pem", publicUrl: "http://files.example" }, /--public-url begins with http:/],
    [{ publicRead: "yes" }, /--public-read "yes": it is true or false/],
    [{ port: "" }, /0 to 65535/],
    [{ role: "storage" }, /there is no --nats: give its address, such as --nats nats:.*TROUPE_NATS_FILE/],
    [{ role: "tracker", nats: "nats://h:4222" }, /there is no --mysql: give its address/],
    [{ role: "storage", nats: "local" }, /--nats local is for this one alone/],
    [{ role: "storage", nats: "nats://h", host: "0.0.0.0" }, /say with --advertise/],
    [{ nats: "http://h:4222" }, /--nats: it is an address such as nats:/],
    [{ nats: "nats://a,redis://b" }, /--nats: it is an address/],
    [{ mysql: "h:3306" }, /--mysql: it is an address such as mysql:/],
    [{ redis: "redis:///" }, /--redis: it is an address such as redis:/],
    [{ natsCreds: "x.creds" }, /--nats-creds is for a server that --nats names/],
    [{ advertise: "http://h/path" }, /10\.0\.0\.5/],
    [{ databasePrefix: "Tr`oupe" }, /lowercase/],
    [{ role: "storge" }, /"storge" is not a role/],
    [{ publicUrl: "https://x.example/media" }, /no path/],
    [{ publicUrl: "x.example" }, /http/],
    [{ nodeId: "a.b" }, /identity/],
    [{ data: " " }, /empty/],
    [{ maxFile: "1PiB" }, /at most/],
    [{ heartbeat: "5s" }, /offline-after/],
    [{ overloadStall: "199ms" }, /overload-stall.*it is 0, or at least 200ms/],
    [{ logLevel: "loud" }, /debug, info, warn, error/],
  ])("name the flag and what it must be: %j", (flags, words) => {
    expect(problemsOf({ flags }).join()).toMatch(words);
  });

  it.each(["0", "200ms"])("are none of standing still for %s", (text) => {
    expect(problemsOf({ flags: { overloadStall: text } })).toEqual([]);
  });

  it("do not include variables of others, which are a warning", () => {
    const { warnings } = resolveFrom({ environment: { TROUPE_PROT: "1", TROUPE_GATEWAY: "http://x", HOME: "/root" } });
    expect(warnings).toHaveLength(1);
    expect(warnings[0]).toContain("TROUPE_PROT");
  });

  it("are typed whatever text any setting is given", () => {
    fc.assert(
      fc.property(fc.constantFrom(...SETTING_NAMES), fc.array(fc.string(), { maxLength: 3 }), (name, texts) => {
        problemsOf({ flags: { [configKey(SETTINGS[name].flag)]: texts } });
      }),
    );
  });
});

describe("servers of others", () => {
  const URLS = { nats: "nats://bus:SECRET@h:4222,nats://bus:SECRET@i", mysql: "mysql://m:SECRET@h", redis: "redis://:SECRET@h/1" };

  it("are named by a URL whose password is shown nowhere", () => {
    const { settings, reports } = resolveFrom({ flags: { role: "tracker,catalog", ...URLS } });
    expect(settings).toMatchObject({ ...URLS, roles: ["tracker", "catalog"] });
    expect(JSON.stringify(reports)).not.toContain("SECRET");
    expect(reportOf({ settings, reports } as ResolvedSettings, "nats")?.value).toBe("nats://bus:(secret)@h:4222,nats://bus:(secret)@i");
    expect(reportOf({ settings, reports } as ResolvedSettings, "role")?.value).toBe("tracker,catalog");
  });

  it("may stand in files of their own, with a line end", () => {
    const environment = { TROUPE_NATS_FILE: "/run/nats", TROUPE_MYSQL_FILE: "/run/mysql" };
    const files = { "/run/nats": "nats://h:4222\n", "/run/mysql": "mysql://u:p@h\n" };
    expect(resolveFrom({ environment, files }).settings).toMatchObject({ nats: "nats://h:4222", mysql: "mysql://u:p@h" });
  });

  it("never have a password repeated when they are malformed", () => {
    const wrong = { nats: "nat://u:SECRET@h", mysql: "mysqli://u:SECRET@h", redis: "SECRET" };
    expect(problemsOf({ flags: wrong }).join()).not.toContain("SECRET");
    expect(problemsOf({ flags: wrong })).toHaveLength(3);
  });
});

describe("the advertised address of a data server", () => {
  const listening = { url: "http://127.0.0.1:9001", port: 9001 };

  it("is where it listens, unless another one or none is set", () => {
    expect(advertisedUrl(undefined, listening)).toBe("http://127.0.0.1:9001");
    expect(advertisedUrl(parseAdvertise("none"), listening)).toBeUndefined();
    expect(advertisedUrl(parseAdvertise("10.0.0.5"), listening)).toBe("http://10.0.0.5:9001");
    expect(advertisedUrl(parseAdvertise("nas:7000"), listening)).toBe("http://nas:7000");
    expect(advertisedUrl(parseAdvertise("https://nas.example"), listening)).toBe("https://nas.example");
  });
});
