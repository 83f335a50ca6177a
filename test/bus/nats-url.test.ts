import { describe, expect, it } from "vitest";
import { parseNatsUrl } from "../../src/bus/nats-url.ts";
import { TroupeError } from "../../src/core/errors.ts";

describe("an address of NATS servers", () => {
  it("is one or several, with a user and a password or without", () => {
    expect(parseNatsUrl("localhost")).toEqual({ servers: ["nats://localhost:4222"] });
    expect(parseNatsUrl("10.0.0.7:4333")).toEqual({ servers: ["nats://10.0.0.7:4333"] });
    expect(parseNatsUrl("tls://[::1]:4333/")).toEqual({ servers: ["tls://[::1]:4333"] });
    expect(parseNatsUrl("nats://a%40b:p%3Aw@one, nats://two:5000")).toEqual({
      servers: ["nats://one:4222", "nats://two:5000"],
      user: "a@b",
      password: "p:w",
    });
    expect(parseNatsUrl("nats://u:p@one,nats://u:p@two")).toMatchObject({ user: "u", password: "p" });
    expect(parseNatsUrl("nats://atoken@one")).toEqual({ servers: ["nats://one:4222"], user: "atoken" });
  });

  it("is refused in words that never repeat it", () => {
    for (const address of [
      "",
      "nats://",
      "nats://one,,two",
      "http://u:hunter2@one",
      "nats://u:hunter2@one/path",
      "nats://u:hunter2@one?x",
      "nats://u:hunter2@one#x",
      "nats://u:hunter2%zz@one",
      "nats://u:hunter2@one:99999",
      "nats://u:hunter2@one,nats://v:hunter2@two",
      "nats://u:hunter2@a b",
    ]) {
      let error: unknown;
      try {
        parseNatsUrl(address);
      } catch (thrown) {
        error = thrown;
      }
      expect(error, address).toBeInstanceOf(TroupeError);
      expect(error, address).toMatchObject({ code: "SETTING_INVALID" });
      expect((error as Error).cause, address).toBeUndefined();
      expect(String((error as Error).stack), address).not.toContain("hunter2");
    }
  });
});
