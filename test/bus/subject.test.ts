/** Subjects, patterns, and the trie that finds who hears what. */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { isSubject, isSubjectPattern, subjectMatches } from "../../src/bus/subject.ts";
import { SubjectTrie } from "../../src/bus/subject-trie.ts";

const token = fc.constantFrom("a", "b", "c", "troupe", "x-1", "_INBOX", "$SRV");
const subject = fc.array(token, { minLength: 1, maxLength: 5 }).map((tokens) => tokens.join("."));
const pattern = fc
  .tuple(fc.array(fc.oneof(token, fc.constant("*")), { minLength: 1, maxLength: 5 }), fc.boolean())
  .map(([tokens, rest]) => (rest ? [...tokens, ">"] : tokens).join("."));

describe("a subject", () => {
  it("is made of tokens of visible ASCII, without wildcards", () => {
    for (const text of ["a", "a.b", "_INBOX.x.1", "$SRV.PING", "$JS.API.INFO", "troupe.v1.upload.A_b-9.merge", "a".repeat(255)])
      expect(isSubject(text), text).toBe(true);
    for (const text of ["", ".", "a.", ".a", "a..b", "a b", "*", "a.>", "a\u007f", "a\u00a0b", "é", "a".repeat(256)])
      expect(isSubject(text), text).toBe(false);
  });

  it("is always a pattern that matches itself alone", () => {
    fc.assert(
      fc.property(subject, subject, (one, two) => {
        expect(isSubject(one) && isSubjectPattern(one)).toBe(true);
        expect(subjectMatches(one, two)).toBe(one === two);
      }),
    );
  });

  it("is judged in time linear in its length, whatever it is", () => {
    // In time that grows with its square the first two would take days, and the others in time that doubles with each token.
    for (const text of ["a.".repeat(10_000_000), "*.".repeat(10_000_000), `${"a.".repeat(126)} `, `${"*.".repeat(126)}>>`]) {
      expect(isSubject(text)).toBe(false);
      expect(isSubjectPattern(text)).toBe(false);
    }
  });
});

describe("the trie", () => {
  it("finds exactly the patterns that match, also after some were removed", () => {
    fc.assert(
      fc.property(fc.array(fc.tuple(pattern, fc.boolean()), { maxLength: 12 }), subject, (patterns, asked) => {
        const trie = new SubjectTrie<number>();
        for (const [index, [text]] of patterns.entries()) trie.add(text, index);
        for (const [index, [text, removed]] of patterns.entries()) if (removed) trie.remove(text, index);
        const expected = patterns.flatMap(([text, removed], index) => (!removed && subjectMatches(text, asked) ? [index] : []));
        expect(trie.match(asked).sort((a, b) => a - b)).toEqual(expected);
        expect(trie.count).toBe(patterns.filter(([, removed]) => !removed).length);
      }),
    );
  });

  it("does not mind a removal of what is not there", () => {
    const trie = new SubjectTrie<string>();
    trie.add("a.b", "x");
    trie.remove("a", "x");
    trie.remove("a.b.c", "x");
    trie.remove("a.b", "y");
    expect(trie.match("a.b")).toEqual(["x"]);
  });
});
