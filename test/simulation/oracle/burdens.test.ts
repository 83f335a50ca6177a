import { expect, test } from "vitest";
import { type Burdens, burdenBreaches, openFileBreaches } from "./burdens.ts";

const burdens = (timers: number, subscriptions = 7): Burdens =>
  new Map([
    [
      "storage1",
      [
        { kind: "timers", count: timers },
        { kind: "subscriptions", count: subscriptions },
      ],
    ],
  ]);

test("an idle process carries hardly more than a new one", () => {
  expect(burdenBreaches([burdens(8)], [burdens(3)])).toEqual([]);
  expect(burdenBreaches([burdens(3)], [burdens(30)])).toEqual([]);
  expect(burdenBreaches([burdens(100)], [burdens(3)])).toEqual([
    { rule: "burden-stays", sentence: "storage1 has 100 timers and nothing to do; a new process has 3" },
  ]);
  expect(burdenBreaches([burdens(3, 8)], [burdens(3, 7)]).map(({ rule }) => rule)).toEqual(["burden-stays"]);
});

test("what is only there at some moments is no burden", () => {
  expect(burdenBreaches([burdens(100), burdens(4)], [burdens(3)])).toEqual([]);
  expect(burdenBreaches([burdens(20)], [burdens(3), burdens(15)])).toEqual([]);
});

test("open are the files of blobs that may be read again, and no others", () => {
  expect(openFileBreaches("storage1", 6, 3)).toEqual([]);
  expect(openFileBreaches("storage1", 7, 3).map(({ rule }) => rule)).toEqual(["files-stay-open"]);
});
