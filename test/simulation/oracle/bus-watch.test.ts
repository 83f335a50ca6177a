import { expect, test } from "vitest";
import { encodeBody } from "../../../src/bus/codec.ts";
import { HEADERS } from "../../../src/bus/headers.ts";
import type { Breach } from "./breach.ts";
import { BusWatch } from "./bus-watch.ts";

class Heard {
  readonly breaches: Breach[] = [];
  readonly watch = new BusWatch((breach) => this.breaches.push(breach));
  #inbox = 0;

  get rules(): string[] {
    return this.breaches.map(({ rule }) => rule);
  }

  ask(life: string, subject: string, input: unknown, ...outputs: unknown[]): void {
    this.#inbox += 1;
    const reply = `_INBOX.${this.#inbox}`;
    this.watch.sent({ life, subject: `troupe.v1.${subject}`, reply, headers: {}, payload: encodeBody(input, "msgpack") });
    for (const output of outputs) this.watch.sent({ life: "other#1", subject: reply, headers: {}, payload: encodeBody(output, "msgpack") });
  }

  refuse(life: string, subject: string, input: unknown, code: string): void {
    this.ask(life, subject, input);
    const headers = { [HEADERS.errorCode]: code, [HEADERS.error]: code };
    this.watch.sent({ life: "other#1", subject: `_INBOX.${this.#inbox}`, headers, payload: encodeBody({ code }, "msgpack") });
  }

  lease(first: number, count: number): void {
    this.ask("storage1#1", "ids.next", { key: "blob", count }, { key: "blob", first, count });
  }

  tell(life: string, uploadId: string, epoch: number, state: string): void {
    const payload = Buffer.from(JSON.stringify({ uploadId, epoch, state }));
    this.watch.sent({ life, subject: `troupe.v1.evt.upload.${uploadId}.state`, headers: {}, payload });
  }
}

test("IDs that are given out twice are found, also in the middle of others", () => {
  const heard = new Heard();
  for (const first of [200, 100, 132, 300]) heard.lease(first, 32);
  expect(heard.rules).toEqual([]);
  heard.lease(164, 36);
  expect(heard.rules).toEqual([]);
  heard.lease(150, 1);
  expect(heard.breaches).toEqual([{ rule: "id-repeated", sentence: "IDs 150 to 150 of blob were given out twice" }]);
});

test("a doubled request is answered twice, and both answers count", () => {
  const heard = new Heard();
  heard.ask("storage1#1", "ids.next", { key: "blob", count: 1 }, { key: "blob", first: 5, count: 1 }, { key: "blob", first: 5, count: 1 });
  expect(heard.rules).toEqual(["id-repeated"]);
});

test("a database of IDs that was put back may repeat what it gave out", () => {
  const heard = new Heard();
  heard.lease(100, 32);
  heard.watch.idsRewound();
  heard.lease(100, 32);
  expect(heard.rules).toEqual([]);
});

test("two uploads do not have one blob ID", () => {
  const heard = new Heard();
  const commit = (uploadId: string): void =>
    heard.ask("storage1#1", "catalog.commitFile", { uploadId, epoch: 1, blob: { blobId: 7 } }, { isDuplicate: false });
  commit("one");
  commit("one");
  expect(heard.rules).toEqual([]);
  commit("other");
  expect(heard.rules).toEqual(["blob-id-repeated"]);
});

test("two lives do not act in one epoch", () => {
  const heard = new Heard();
  heard.tell("storage1#1", "u", 1, "receiving");
  heard.ask("storage1#1", "catalog.endUpload", { uploadId: "u", epoch: 1, state: "cancelled" }, {});
  expect(heard.rules).toEqual([]);
  heard.ask("storage1#2", "catalog.endUpload", { uploadId: "u", epoch: 1, state: "cancelled" }, {});
  expect(heard.rules).toEqual(["two-owners"]);
});

test("an upload that was forgotten may begin anew", () => {
  const heard = new Heard();
  heard.tell("storage1#1", "u", 1, "receiving");
  heard.ask("storage1#1", "catalog.endUpload", { uploadId: "u", epoch: 1, state: "cancelled", isForgotten: true }, {});
  heard.tell("storage1#2", "u", 1, "receiving");
  expect(heard.rules).toEqual([]);
});

test("a commit with an epoch that was given away must be refused", () => {
  const heard = new Heard();
  const record = { uploadId: "u", epoch: 2, state: "receiving" };
  heard.ask("storage1#2", "catalog.claimUpload", { uploadId: "u", host: "storage1" }, record);
  heard.refuse("storage1#1", "catalog.commitFile", { uploadId: "u", epoch: 1, blob: { blobId: 7 } }, "EPOCH_STALE");
  expect(heard.rules).toEqual([]);
  heard.ask("storage1#1", "catalog.commitFile", { uploadId: "u", epoch: 1, blob: { blobId: 7 } }, { isDuplicate: false });
  expect(heard.rules).toEqual(["stale-epoch"]);
});

test("taking over what has ended gives no epoch away", () => {
  const heard = new Heard();
  heard.ask("storage1#1", "catalog.commitFile", { uploadId: "u", epoch: 1, blob: { blobId: 7 } }, { isDuplicate: false });
  heard.ask("storage1#2", "catalog.claimUpload", { uploadId: "u", host: "storage1" }, { uploadId: "u", epoch: 1, state: "merged" });
  expect(heard.rules).toEqual([]);
});

test("after a final state only that is told", () => {
  const heard = new Heard();
  for (const state of ["receiving", "verifying", "receiving", "cancelled", "cancelled"]) heard.tell("storage1#1", "u", 1, state);
  expect(heard.rules).toEqual([]);
  heard.tell("storage1#2", "u", 2, "receiving");
  expect(heard.rules).toEqual(["told-after-end"]);
});

test("states are told in the order in which the machine has them, from the beginning in each life", () => {
  const heard = new Heard();
  for (const state of ["receiving", "verifying", "replicating", "committing"]) heard.tell("storage1#1", "u", 1, state);
  for (const state of ["receiving", "verifying"]) heard.tell("storage1#2", "u", 2, state);
  expect(heard.rules).toEqual([]);
  heard.tell("storage1#2", "u", 2, "merged");
  expect(heard.rules).toEqual(["told-out-of-order"]);
});
