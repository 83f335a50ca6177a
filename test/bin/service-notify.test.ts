import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { openServiceNotify, socketAddress } from "../../src/bin/service-notify.ts";
import { recordingLog } from "../gateway/rig.ts";
import { ListeningNotifySocket } from "../support/notify-socket.ts";
import { startServer } from "../support/server-process.ts";
import { temporaryDirectory } from "../support/temporary-directory.ts";
import { until } from "../support/until.ts";
import { VirtualClock } from "../support/virtual-clock.ts";

const PID = 4711;

function rig() {
  const clock = new VirtualClock();
  const lines: string[] = [];
  return { clock, lines, ports: { clock, log: recordingLog(lines) } };
}

describe.runIf(process.platform === "linux")("systemd is told", () => {
  it.each(["a path", "a name in no file system"])("of a start and of a stop, at %s", async (kind) => {
    await using folder = await temporaryDirectory();
    const address = kind === "a path" ? join(folder.path, "notify") : `@troupe-test/${folder.path}`;
    using listening = new ListeningNotifySocket(address);
    const { ports, lines } = rig();
    const environment: NodeJS.ProcessEnv = { NOTIFY_SOCKET: address, OTHER: "stays" };
    const service = openServiceNotify(environment, PID, ports);
    expect(listening.hear()).toEqual([]);
    service.ready("Serves http://127.0.0.1:8080\nBUSERROR=1");
    service.stopping();
    service.close();
    service.ready("never");
    expect(listening.hear()).toEqual([
      "READY=1\nSTATUS=Serves http://127.0.0.1:8080 BUSERROR=1",
      "STOPPING=1\nSTATUS=Uploads and downloads under way are ending",
    ]);
    expect(environment).toEqual({ OTHER: "stays" });
    expect(lines).toEqual([]);
  });

  it("from a start on, twice in the time it watches, that the loop turns", async () => {
    await using folder = await temporaryDirectory();
    const address = join(folder.path, "notify");
    using listening = new ListeningNotifySocket(address);
    const { clock, ports } = rig();
    const environment = { NOTIFY_SOCKET: address, WATCHDOG_USEC: "20000000", WATCHDOG_PID: String(PID) };
    const service = openServiceNotify(environment, PID, ports);
    const beats = (): number => listening.hear().filter((text) => text === "WATCHDOG=1").length;
    await clock.advance(60_000);
    expect(beats()).toBe(0);
    service.ready("on");
    expect(beats()).toBe(1);
    for (let times = 0; times < 4; times += 1) await clock.advance(10_000);
    expect(beats()).toBe(5);
    service.close();
    await clock.advance(60_000);
    expect([beats(), clock.timerCount]).toEqual([5, 0]);
  });

  it("of no loop when another process is the one that is watched", async () => {
    await using folder = await temporaryDirectory();
    const address = join(folder.path, "notify");
    using listening = new ListeningNotifySocket(address);
    const { clock, ports } = rig();
    openServiceNotify({ NOTIFY_SOCKET: address, WATCHDOG_USEC: "1000000", WATCHDOG_PID: "1" }, PID, ports).ready("on");
    expect([listening.hear().length, clock.timerCount]).toEqual([1, 0]);
  });

  it("later what its socket did not take at once: nobody waits for it", async () => {
    await using folder = await temporaryDirectory();
    const address = join(folder.path, "notify");
    const { clock, ports, lines } = rig();
    const service = openServiceNotify({ NOTIFY_SOCKET: address }, PID, ports);
    service.ready("nobody listens yet");
    using listening = new ListeningNotifySocket(address);
    await clock.advance(1_000);
    expect(listening.hear()).toEqual(["READY=1\nSTATUS=nobody listens yet"]);
    expect([lines, clock.timerCount]).toEqual([[], 0]);
  });

  it("and it is said, and nothing else, when it cannot be", async () => {
    await using folder = await temporaryDirectory();
    const { clock, ports, lines } = rig();
    openServiceNotify({ NOTIFY_SOCKET: join(folder.path, "nobody") }, PID, ports).ready("on");
    await clock.advance(60_000);
    expect(lines).toEqual([expect.stringContaining("systemd was not told how this service is")]);
    expect(clock.timerCount).toBe(0);
    openServiceNotify({ NOTIFY_SOCKET: "vsock:2:1234" }, PID, ports).ready("on");
    expect(lines).toEqual([expect.anything(), expect.stringContaining("not the address of a Unix socket (vsock:2:1234)")]);
  });

  it("by a real server: ready when it serves, its loop turning, then stopping", async () => {
    await using folder = await temporaryDirectory();
    const address = join(folder.path, "notify");
    using listening = new ListeningNotifySocket(address);
    await using server = await startServer(join(folder.path, "data"), [], { NOTIFY_SOCKET: address, WATCHDOG_USEC: "400000" });
    const beats = (): number => listening.hear().filter((text) => text === "WATCHDOG=1").length;
    await until(
      async () => beats(),
      (count) => count >= 3,
    );
    expect(listening.heard[0]).toBe(`READY=1\nSTATUS=Serves ${server.url} as all, node ${server.nodeId}`);
    expect(await server.terminate()).toBe(0);
    expect(listening.hear().filter((text) => text.startsWith("STOPPING=1"))).toHaveLength(1);
  });
});

it("nothing is loaded, and nothing said, where no systemd asks", () => {
  const { ports, clock, lines } = rig();
  const service = openServiceNotify({ WATCHDOG_USEC: "1000" }, PID, ports);
  service.ready("on");
  service.stopping();
  service.close();
  expect([lines, clock.timerCount]).toEqual([[], 0]);
});

it("an address has the form that the system calls take", () => {
  expect(
    Buffer.from(socketAddress("/run/x") as Uint8Array)
      .subarray(2)
      .toString(),
  ).toBe("/run/x\0");
  expect(
    Buffer.from(socketAddress("@x") as Uint8Array)
      .subarray(2)
      .toString(),
  ).toBe("\0x");
  for (const wrong of ["relative", "vsock:2:1", "@", `/${"x".repeat(108)}`]) expect(socketAddress(wrong)).toBeUndefined();
});
