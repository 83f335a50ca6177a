/** A Unix datagram socket that listens as systemd's does: what a service says to `NOTIFY_SOCKET`. Linux only. */
import { socketAddress } from "../../src/bin/service-notify.ts";
import { systemCalls } from "../../src/core/system-calls.ts";

interface Functions {
  readonly socket: (domain: number, type: number, protocol: number) => number;
  readonly bind: (descriptor: number, address: Uint8Array, addressBytes: number) => number;
  readonly recv: (descriptor: number, into: Uint8Array, count: bigint, flags: number) => bigint;
  readonly close: (descriptor: number) => number;
}

const AF_UNIX = 1;
const SOCK_DGRAM = 2;
const SOCK_CLOEXEC = 0o2000000;
const MSG_DONTWAIT = 0x40;

export class ListeningNotifySocket implements Disposable {
  readonly #native: Functions;
  readonly #descriptor: number;
  /** Everything that was heard, in order. */
  readonly heard: string[] = [];

  /** @param address a path, or `@` and a name that is in no file system */
  constructor(address: string) {
    this.#native = systemCalls<Functions>({
      socket: { return: "i32", arguments: ["i32", "i32", "i32"] },
      bind: { return: "i32", arguments: ["i32", "buffer", "u32"] },
      recv: { return: "i64", arguments: ["i32", "buffer", "u64", "i32"] },
      close: { return: "i32", arguments: ["i32"] },
    });
    this.#descriptor = this.#native.socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    const to = socketAddress(address);
    if (to === undefined || this.#native.bind(this.#descriptor, to, to.length) !== 0) throw new Error(`cannot listen on ${address}`);
  }

  /** What has come by now. @returns all that was heard */
  hear(): readonly string[] {
    const into = Buffer.alloc(8 * 1024);
    for (;;) {
      const count = Number(this.#native.recv(this.#descriptor, into, BigInt(into.length), MSG_DONTWAIT));
      if (count < 0) return this.heard;
      this.heard.push(into.subarray(0, count).toString());
    }
  }

  [Symbol.dispose](): void {
    this.#native.close(this.#descriptor);
  }
}
