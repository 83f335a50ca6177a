import { expect, test } from "vitest";
import { Content } from "../workload/content.ts";
import { endWish, History, openWish } from "../workload/history.ts";
import { KnownFile } from "../workload/known-file.ts";
import { KnownUpload } from "../workload/known-upload.ts";
import { compareWithKnown, type FoundFile } from "./known-rows.ts";

const CONTENT = Content.of(7, 1_000);
const NOW_MS = 100_000;

function upload(history: History, uploadId: string | undefined): KnownUpload {
  const known = new KnownUpload({
    operation: 1,
    owner: "north",
    app: "default",
    user: "ben",
    name: "film",
    content: CONTENT,
    way: "whole",
    key: undefined,
    isFalse: false,
    claimsDigest: false,
    isPartial: false,
    askedMs: 1,
  });
  history.addUpload(known);
  if (uploadId !== undefined) history.named(known, uploadId);
  return known;
}

/** As it was told to a client. */
function acknowledged(history: History, fileId: string, uploadId: string): KnownFile {
  const known = upload(history, uploadId);
  known.fileId = fileId;
  const file = new KnownFile(fileId, known, 10);
  history.addFile(file);
  return file;
}

const row = (fileId: string, uploadId: string, other: Partial<FoundFile> = {}): FoundFile => ({
  fileId,
  owner: "north",
  app: "default",
  user: "ben",
  name: "film",
  uploadId,
  blake3: CONTENT.blake3,
  sizeBytes: CONTENT.sizeBytes,
  blobPath: "000/000/000/6955B90C_065",
  ...other,
});

const rules = (found: readonly FoundFile[], history: History, isDamaged = false): string[] =>
  compareWithKnown(found, history, NOW_MS, () => isDamaged).breaches.map(({ rule }) => rule);

test("a file that was acknowledged is there as it was told", () => {
  const history = new History();
  acknowledged(history, "f1", "u1");
  expect(rules([row("f1", "u1")], history)).toEqual([]);
  expect(rules([], history)).toEqual(["file-lost"]);
  expect(rules([row("f1", "u1", { name: "song" })], history)).toEqual(["wrong-name"]);
  expect(rules([row("f1", "u1", { owner: "south" })], history)).toEqual(["wrong-labels"]);
  expect(rules([row("f1", "u1", { blake3: "00" })], history)).toEqual(["wrong-content"]);
});

test("bytes that rotted before they had a digest may have that of others", () => {
  const history = new History();
  acknowledged(history, "f1", "u1");
  expect(rules([row("f1", "u1", { blake3: "00" })], history, true)).toEqual([]);
  expect(rules([row("f1", "u1", { sizeBytes: 1 })], history, true)).toEqual(["wrong-content"]);
});

test("a file whose deletion has no answer may be there or not, one whose deletion was acknowledged must not", () => {
  const history = new History();
  const file = acknowledged(history, "f1", "u1");
  const wish = openWish(2, "gateway1#1", 20);
  file.deletes.push(wish);
  endWish(wish, "unknown", 30);
  expect(rules([row("f1", "u1")], history)).toEqual([]);
  expect(rules([], history)).toEqual([]);
  endWish(wish, "acknowledged", 30);
  expect(rules([row("f1", "u1")], history)).toEqual(["deleted-file-there"]);
});

test("an upload without an answer is a file once or not at all", () => {
  const history = new History();
  expect(rules([row("f9", "u9")], history)).toEqual(["file-of-nobody"]);
  upload(history, undefined);
  expect(rules([], history)).toEqual([]);
  expect(rules([row("f9", "u9")], history)).toEqual([]);
  expect(rules([row("f8", "u8"), row("f9", "u9")], history)).toEqual(["file-of-nobody"]);
  expect(rules([row("f9", "u9", { name: "other" })], history)).toEqual(["file-of-nobody"]);
});

test("a file that nobody was told of is what was asked for, too", () => {
  const history = new History();
  upload(history, "u1");
  expect(rules([row("f1", "u1", { name: "song" })], history)).toEqual(["wrong-name"]);
  expect(rules([row("f1", "u1", { user: "ann" })], history)).toEqual(["wrong-labels"]);
  expect(rules([row("f1", "u1", { blake3: "00" })], history)).toEqual(["wrong-content"]);
});

test("an upload that is known by its ID stands for no other's file", () => {
  const history = new History();
  upload(history, "u1");
  expect(rules([row("f2", "u2")], history)).toEqual(["file-of-nobody"]);
  expect(rules([row("f1", "u1")], history)).toEqual([]);
});
