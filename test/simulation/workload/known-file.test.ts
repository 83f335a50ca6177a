import { expect, it } from "vitest";
import { Content } from "./content.ts";
import { endWish, History, openWish } from "./history.ts";
import { KnownFile, type Rename } from "./known-file.ts";
import { KnownUpload } from "./known-upload.ts";

const GATEWAY = "gateway1#1";

function uploaded(way: "chunks" | "tus" = "chunks"): KnownFile {
  const labels = { operation: 0, owner: "north", app: "default", user: "ann", name: "first" };
  const upload = new KnownUpload({
    ...labels,
    content: Content.of(1, 10),
    way,
    key: undefined,
    isFalse: false,
    claimsDigest: false,
    isPartial: false,
    askedMs: 0,
  });
  return new KnownFile("file", upload, 100);
}

function renamed(file: KnownFile, name: string, askedMs: number): Rename {
  const wish: Rename = { ...openWish(1, GATEWAY, askedMs), name };
  file.renames.push(wish);
  return wish;
}

it("a file has one name when the last rename ended before anybody looked", () => {
  const file = uploaded();
  endWish(renamed(file, "second", 200), "acknowledged", 210);
  expect([...file.possibleNames(300)]).toEqual(["second"]);
  expect([...file.possibleNames(205)]).toEqual(["first", "second"]);
});

it("a rename without an answer may happen at any time after it was asked", () => {
  const file = uploaded();
  endWish(renamed(file, "second", 200), "unknown", 5_200);
  endWish(renamed(file, "third", 6_000), "acknowledged", 6_010);
  expect([...file.possibleNames(60_000)]).toEqual(["second", "third"]);
});

it("of two renames at once either may be the last", () => {
  const file = uploaded();
  const [one, other] = [renamed(file, "second", 200), renamed(file, "third", 205)];
  endWish(one, "acknowledged", 220);
  endWish(other, "acknowledged", 221);
  expect([...file.possibleNames(300)]).toEqual(["second", "third"]);
});

it("a refused rename changed nothing", () => {
  const file = uploaded();
  endWish(renamed(file, "second", 200), "refused", 210);
  expect([...file.possibleNames(300)]).toEqual(["first"]);
});

it("a file whose delete was not answered may be there or not", () => {
  const file = uploaded();
  const history = new History();
  history.addFile(file);
  expect(history.filesOf("north")).toEqual([file]);
  const wish = openWish(1, GATEWAY, 200);
  file.deletes.push(wish);
  endWish(wish, "unknown", 5_200);
  expect(history.filesOf("north")).toEqual([]);
  expect(file.mustBeGone(100_000, GATEWAY)).toBe(false);
});

it("terminating an upload of tus deletes the file that it has become", () => {
  const file = uploaded("tus");
  const wish = openWish(1, GATEWAY, 200);
  file.upload.terminations.push(wish);
  endWish(wish, "acknowledged", 210);
  expect(file.deletedMs).toBe(210);
  expect(file.mustBeGone(211, GATEWAY)).toBe(true);
  expect(file.mustBeGone(211, "gateway1#2")).toBe(false);
  expect(file.mustBeGone(2_211, "gateway1#2")).toBe(true);
});
