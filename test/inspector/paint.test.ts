/** The picture: what is marked is seen, everything is found, and nothing in it breaks the page it stands in. */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { type Element, element, elementText } from "../../src/inspector/element.ts";
import { paint, paintedFile } from "../../src/inspector/paint.ts";
import { STATECHARTS } from "../../src/inspector/statecharts.ts";

const UPLOAD = STATECHARTS.upload;

function everyElement(one: Element): Element[] {
  return [one, ...one.children.flatMap((child) => (typeof child === "string" ? [] : everyElement(child)))];
}

/** Each text of a picture, in order. */
const textOf = (one: Element): string =>
  one.children
    .map((child) => (typeof child === "string" ? child : textOf(child)))
    .filter((text) => text !== "")
    .join(" ");
const classesOf = (one: Element | undefined): string[] => one?.attributes["class"]?.split(" ") ?? [];

function find(picture: Element, attribute: string, value: string): Element[] {
  return everyElement(picture).filter((one) => one.attributes[attribute] === value);
}

describe("a picture", () => {
  it("has every state and every transition, to be found by name", () => {
    const picture = paint(UPLOAD);
    for (const { path } of UPLOAD.nodes) expect(find(picture, "data-path", path), path).toHaveLength(1);
    for (const { id, points } of UPLOAD.edges) expect(find(picture, "data-edge", id), id).toHaveLength(points.length > 0 ? 2 : 1);
  });

  it("shows each event, guard and action, and the double border of an end", () => {
    const picture = paint(UPLOAD);
    const [merging] = find(picture, "data-edge", "chunks.receiving:merge.requested").slice(1);
    expect(textOf(merging as Element)).toBe("merge.requested [isComplete] / forgetError");
    const [merged] = find(picture, "data-path", "merged");
    expect(everyElement(merged as Element).filter(({ tag }) => tag === "rect")).toHaveLength(2);
    const [verifying] = find(picture, "data-path", "merge.verifying");
    expect(textOf(verifying as Element)).toBe("verifying entry / startVerifying");
  });

  it("D1: says how it looks in classes alone, and tells who cannot see it what it is", () => {
    const picture = paint(UPLOAD, { live: ["merge.verifying"] });
    for (const one of everyElement(picture)) {
      expect(one.attributes).not.toHaveProperty("style");
      expect(one.attributes).not.toHaveProperty("fill");
      expect(one.tag).not.toBe("style");
    }
    expect(picture.attributes["role"]).toBe("img");
    expect(textOf(find(picture, "class", "chart")[0] as Element)).toMatch(/^Statechart of upload, in merge\.verifying/);
  });

  it("lights the state that is live and those it lies in, and no other", () => {
    const picture = paint(UPLOAD, { live: ["merge.verifying"], visited: ["init", "chunks.receiving", "merge.verifying"] });
    const lit = everyElement(picture)
      .filter((one) => classesOf(one).includes("live"))
      .map((one) => one.attributes["data-path"]);
    expect(lit).toEqual(["", "merge", "merge.verifying"]);
    const visited = everyElement(picture)
      .filter((one) => classesOf(one).includes("visited"))
      .map((one) => one.attributes["data-path"]);
    expect(visited).toEqual(["", "init", "chunks", "chunks.receiving", "merge", "merge.verifying"]);
  });

  it("writes the time into the state, and how often a transition was taken to it; the last one stands out", () => {
    const claimed = "chunks.receiving:chunk.claimed";
    const merging = "chunks.receiving:merge.requested";
    const picture = paint(UPLOAD, { times: { init: "12 ms" }, counts: { [claimed]: 12_345, [merging]: 2 }, last: merging });
    expect(textOf(find(picture, "data-path", "init")[0] as Element)).toContain("12 ms");
    expect(textOf(find(picture, "data-edge", claimed)[0] as Element)).toContain("12k");
    expect(textOf(find(picture, "data-edge", merging)[1] as Element)).toBe("merge.requested [isComplete] / forgetError 2");
    expect(find(picture, "data-edge", merging).every((one) => classesOf(one).includes("last"))).toBe(true);
    expect(everyElement(picture).filter((one) => classesOf(one).includes("last"))).toHaveLength(2);
  });

  it.each([
    [999, "999"],
    [1_000, "1.0k"],
    [9_949, "9.9k"],
    [9_950, "10k"],
    [999_499, "999k"],
    [999_500, "1.0M"],
    [123_456_789, "123M"],
  ])("keeps a count short: %d is %s", (count, text) => {
    const picture = paint(UPLOAD, { counts: { "init:session.opened": count } });
    const badges = everyElement(picture).filter((one) => classesOf(one).includes("count"));
    expect(badges.map((badge) => textOf(badge))).toEqual([text]);
  });

  it("marks of what the chart does not have change nothing", () => {
    expect(paint(UPLOAD, { visited: [], times: { nowhere: "1 s" }, counts: { nothing: 3 }, last: "nothing" })).toEqual(paint(UPLOAD));
  });

  it("has no place that is not a number", () => {
    for (const chart of Object.values(STATECHARTS))
      expect(paintedFile(chart, { counts: { "init:session.opened": 3 } })).not.toMatch(/NaN|undefined|Infinity/);
  });
});

describe("a file", () => {
  it("brings its looks with it, light and dark, and nothing from elsewhere", () => {
    const text = paintedFile(UPLOAD);
    expect(text).toContain("@media (prefers-color-scheme: dark)");
    expect(text.replace('xmlns="http://www.w3.org/2000/svg"', "")).not.toMatch(/https?:|url\(|@import|<script/);
  });
});

describe("an element as text", () => {
  it("E1: holds any text, which comes back from a reader", () => {
    fc.assert(
      fc.property(
        fc.oneof(fc.string({ unit: "binary" }), fc.string({ unit: fc.constantFrom(...'<>&"\0\n\uffff a\u{1f600}', "\ud800") })),
        (text) => {
          const written = elementText(element("a", { b: text }, text));
          const [, attribute = "", content = ""] = /^<a b="([^"<]*)">([^<]*)<\/a>\n$/.exec(written) ?? [];
          expect(written).toMatch(/^<a b="/);
          for (const escaped of [attribute, content]) {
            expect(escaped).not.toMatch(/&(?!amp;|lt;|gt;|quot;)/);
            const read = escaped.replaceAll("&lt;", "<").replaceAll("&gt;", ">").replaceAll("&quot;", '"').replaceAll("&amp;", "&");
            const storable = [...text.toWellFormed()].map((one) =>
              /[\t\n\r\u0020-\ud7ff\ue000-\ufffd\u{10000}-\u{10ffff}]/u.test(one) ? one : "\ufffd",
            );
            expect(read).toBe(storable.join(""));
          }
        },
      ),
    );
  });

  it("is a line an element, indented", () => {
    expect(elementText(element("g", { class: "state" }, element("rect"), element("text", {}, "a & b")))).toBe(
      '<g class="state">\n  <rect/>\n  <text>a &amp; b</text>\n</g>\n',
    );
  });
});
