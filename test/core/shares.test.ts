import { expect, it } from "vitest";
import { Shares } from "../../src/core/shares.ts";

function takeAll(shares: Shares, who: string): number {
  let count = 0;
  for (; shares.hasRoomFor(who); count += 1) shares.add(who);
  return count;
}

it("one that wants all places gets seven of eight, and each that comes after it some of the rest", () => {
  const shares = new Shares(1_024);
  expect(["ann", "bob", "eve", "dan"].map((who) => takeAll(shares, who))).toEqual([896, 112, 14, 2]);
});

it("who gives places back, or comes when others have, finds them", () => {
  const shares = new Shares(16);
  expect(takeAll(shares, "ann")).toBe(14);
  expect(takeAll(shares, "bob")).toBe(2);
  expect(shares.hasRoomFor("eve")).toBe(false);
  for (let count = 0; count < 14; count += 1) shares.remove("ann");
  expect(takeAll(shares, "bob")).toBe(12);
  expect(takeAll(shares, "eve")).toBe(2);
});

it("what is there without having been let in counts, and keeps others out as long as it is there", () => {
  const shares = new Shares(8);
  for (let count = 0; count < 9; count += 1) shares.add("ann");
  expect([shares.hasRoomFor("ann"), shares.hasRoomFor("bob")]).toEqual([false, false]);
  for (let count = 0; count < 2; count += 1) shares.remove("ann");
  expect([shares.hasRoomFor("ann"), shares.hasRoomFor("bob")]).toEqual([false, true]);
});
