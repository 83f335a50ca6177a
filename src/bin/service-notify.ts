/**
 * What systemd wants to hear of a service of `Type=notify`: that it serves, that it stops, how it is, and, again and again, that its main loop
 * still turns (`WatchdogSec=`). Said in datagrams to the Unix socket that `NOTIFY_SOCKET` names; Node has no module for those, so the system
 * calls are reached as `sendfile(2)` is, through its foreign function interface.
 *
 * N1: without `NOTIFY_SOCKET` nothing is loaded; where it cannot be spoken to, that is said once and the server serves all the same.
 * N2: nothing waits for systemd: what its socket does not take at once is said again a moment later, some times.
 * N3: children do not inherit the address: nobody else speaks for this process.
 */
import { endianness } from "node:os";
import type { Log } from "../core/log.ts";
import type { Clock, Timer } from "../core/ports/clock.ts";
import { systemCalls } from "../core/system-calls.ts";

export interface ServiceNotify {
  /** It serves. @param status one line for `systemctl status` */
  ready(status: string): void;
  stopping(): void;
  close(): void;
}

export interface ServiceNotifyPorts {
  readonly clock: Clock;
  readonly log: Log;
}

/** https://www.freedesktop.org/software/systemd/man/latest/sd_notify.html; taken out of `environment` (N3). */
export function openServiceNotify(environment: NodeJS.ProcessEnv, pid: number, ports: ServiceNotifyPorts): ServiceNotify {
  const { NOTIFY_SOCKET: address, WATCHDOG_USEC: microseconds, WATCHDOG_PID: watched } = environment;
  for (const name of ["NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"]) delete environment[name];
  if (address === undefined || address === "") return NOBODY;
  const send = openSocket(address);
  if (typeof send === "string") {
    ports.log.warn(
      {},
      `systemd cannot be told how this service is: ${send}. It will take this start for failed, unless its unit says Type=simple.`,
    );
    return NOBODY;
  }
  const isWatched = watched === undefined || watched === String(pid);
  const watchdogMs = isWatched && /^[1-9]\d{0,15}$/.test(microseconds ?? "") ? Number(microseconds) / 1_000 : undefined;
  return new Telling(send, watchdogMs, ports);
}

const NOBODY: ServiceNotify = { ready() {}, stopping() {}, close() {} };
const SAID_AGAIN_MS = 500;
const TRIES_MAX = 20;

class Telling implements ServiceNotify {
  readonly #socket: NotifySocket;
  readonly #watchdogMs: number | undefined;
  readonly #ports: ServiceNotifyPorts;
  #again: Timer | undefined;
  #watchdog: Timer | undefined;
  #isClosed = false;

  constructor(socket: NotifySocket, watchdogMs: number | undefined, ports: ServiceNotifyPorts) {
    this.#socket = socket;
    this.#watchdogMs = watchdogMs;
    this.#ports = ports;
  }

  ready(status: string): void {
    this.#say(`READY=1\nSTATUS=${oneLine(status)}`);
    this.#turn();
  }

  stopping(): void {
    this.#say("STOPPING=1\nSTATUS=Uploads and downloads under way are ending");
  }

  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#again?.cancel();
    this.#watchdog?.cancel();
    this.#socket.close();
  }

  /** By a timer of the main loop: when that stands still nothing is said, and systemd starts the service again. */
  #turn(): void {
    if (this.#watchdogMs === undefined || this.#isClosed) return;
    // One that is lost is made up for by the next, in time.
    this.#socket.send("WATCHDOG=1");
    this.#watchdog = this.#ports.clock.setTimer(this.#watchdogMs / 2, () => this.#turn());
  }

  /** N2: what is newer takes the place of what has not been said yet. */
  #say(text: string, triesLeft = TRIES_MAX): void {
    if (this.#isClosed) return;
    this.#again?.cancel();
    if (this.#socket.send(text)) return;
    if (triesLeft === 1) this.#ports.log.warn({ text }, "systemd was not told how this service is: its socket takes nothing.");
    else this.#again = this.#ports.clock.setTimer(SAID_AGAIN_MS, () => this.#say(text, triesLeft - 1));
  }
}

function oneLine(text: string): string {
  return text.replace(/[\n\r]+/g, " ");
}

interface NotifySocket {
  /** @returns whether the socket took it */
  send(text: string): boolean;
  close(): void;
}

interface Functions {
  readonly socket: (domain: number, type: number, protocol: number) => number;
  readonly sendto: (descriptor: number, bytes: Uint8Array, count: bigint, flags: number, to: Uint8Array, toBytes: number) => bigint;
  readonly close: (descriptor: number) => number;
}

const AF_UNIX = 1;
const SOCK_DGRAM = 2;
const SOCK_CLOEXEC = 0o2000000;
const MSG_DONTWAIT = 0x40;
const MSG_NOSIGNAL = 0x4000;
/** Of `sun_path` in Linux's `sockaddr_un`. */
const PATH_BYTES_MAX = 108;

/** @returns why there is none, where that is so */
function openSocket(address: string): NotifySocket | string {
  const to = socketAddress(address);
  if (to === undefined) return `NOTIFY_SOCKET is not the address of a Unix socket (${oneLine(address)})`;
  if (process.platform !== "linux") return "that is known only on Linux";
  let native: Functions;
  try {
    native = systemCalls<Functions>({
      socket: { return: "i32", arguments: ["i32", "i32", "i32"] },
      sendto: { return: "i64", arguments: ["i32", "buffer", "u64", "i32", "buffer", "u32"] },
      close: { return: "i32", arguments: ["i32"] },
    });
  } catch (error) {
    return `this Node has no foreign function interface (${error instanceof Error ? error.message : String(error)})`;
  }
  const descriptor = native.socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (descriptor < 0) return "there is no socket to be had";
  return {
    send: (text) => {
      const bytes = Buffer.from(text);
      return Number(native.sendto(descriptor, bytes, BigInt(bytes.length), MSG_DONTWAIT | MSG_NOSIGNAL, to, to.length)) === bytes.length;
    },
    close: () => void native.close(descriptor),
  };
}

/** A `sockaddr_un`: of a path, or, after `@`, of a name that is in no file system. `undefined` when it is neither. */
export function socketAddress(address: string): Uint8Array | undefined {
  const isAbstract = address.startsWith("@");
  if (!isAbstract && !address.startsWith("/")) return undefined;
  // A path ends with a zero; a name begins with one.
  const path = Buffer.from(isAbstract ? `\0${address.slice(1)}` : `${address}\0`);
  if (path.length > PATH_BYTES_MAX || path.length < 2) return undefined;
  const family = Buffer.alloc(2);
  if (endianness() === "LE") family.writeUInt16LE(AF_UNIX);
  else family.writeUInt16BE(AF_UNIX);
  return Buffer.concat([family, path]);
}
