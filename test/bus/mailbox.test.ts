/** The mailbox's lanes, and the queue below them. */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { DEAD_LETTER_REASONS, DeadLetters } from "../../src/bus/dead-letters.ts";
import { Fifo } from "../../src/bus/fifo.ts";
import { Mailbox } from "../../src/bus/mailbox.ts";
import { MAILBOX_POSTED_MAX, MAILBOX_PRIORITY_MESSAGES_MAX, MAILBOX_PRIORITY_RUN_MAX } from "../../src/core/limits.ts";

describe("a mailbox", () => {
  it("gives posted turns first, then the priority lane, then the normal one, each in order", () => {
    const mailbox = new Mailbox<string, string>();
    for (const text of ["n1", "n2"]) mailbox.offer("normal", text);
    for (const text of ["p1", "p2"]) mailbox.offer("priority", text);
    for (const text of ["e1", "e2"]) mailbox.post(text);
    expect(mailbox.waiting).toBe(6);
    expect(Array.from({ length: 7 }, () => mailbox.take())).toEqual(["e1", "e2", "p1", "p2", "n1", "n2", undefined]);
    expect(mailbox.waiting).toBe(0);
  });

  it("bounds each lane by itself", () => {
    const mailbox = new Mailbox<number, number>(3);
    expect([1, 2, 3, 4].map((item) => mailbox.offer("normal", item))).toEqual([true, true, true, false]);
    expect(mailbox.hasRoom("normal")).toBe(false);
    expect(mailbox.hasRoom("priority")).toBe(true);
    for (let index = 0; index < MAILBOX_PRIORITY_MESSAGES_MAX; index += 1) expect(mailbox.offer("priority", index)).toBe(true);
    expect(mailbox.offer("priority", 0)).toBe(false);
    for (let index = 0; index < MAILBOX_POSTED_MAX; index += 1) mailbox.post(index);
    expect(() => mailbox.post(0)).toThrow(/posted turns/);
  });

  it("does not starve the normal lane under a stream of priority messages", () => {
    const mailbox = new Mailbox<string, string>();
    mailbox.offer("normal", "normal");
    let turns = 0;
    for (let taken: string | undefined; taken !== "normal"; turns += 1) {
      mailbox.offer("priority", "priority");
      taken = mailbox.take();
    }
    expect(turns).toBe(MAILBOX_PRIORITY_RUN_MAX + 1);
  });
});

describe("a queue", () => {
  it("does what an array does, within its bound", () => {
    fc.assert(
      fc.property(fc.array(fc.oneof(fc.constant("shift" as const), fc.nat(9)), { maxLength: 600 }), (steps) => {
        const queue = new Fifo<number>(200);
        const model: number[] = [];
        for (const step of steps) {
          if (step === "shift") expect(queue.shift()).toBe(model.shift());
          else {
            expect(queue.push(step)).toBe(model.length < 200);
            if (model.length < 200) model.push(step);
          }
          expect(queue.length).toBe(model.length);
        }
      }),
    );
  });
});

describe("dead letters", () => {
  it("keep the newest, and count them all", () => {
    const letters = new DeadLetters(2);
    for (const subject of ["a", "b", "c"]) letters.add({ subject, reason: DEAD_LETTER_REASONS.expired, atMs: 1 });
    expect(letters.list().map((letter) => letter.subject)).toEqual(["b", "c"]);
    expect(letters.count).toBe(3);
  });
});
