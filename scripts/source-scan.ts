/**
 * Reads TypeScript just far enough to tell code from what is not code (comments, strings, templates, regular expressions), and to list
 * imports. It is no parser: it knows where literals begin and end, which is all that import directions and banned names need.
 */

/** The same text, in which everything that is not code is spaces; quotes and line breaks stay, so that positions agree. */
export function codeOnly(text: string): string {
  return new Scanner(text).scan();
}

export interface FoundImport {
  /** As written; `undefined` for an `import(…)` of something computed. */
  readonly specifier: string | undefined;
  /** The names in braces, as the package calls them. */
  readonly names: readonly string[];
  readonly line: number;
}

/** Static, re-exporting, side-effect and dynamic imports, and `import("…")` in types. */
export function importsOf(text: string): FoundImport[] {
  const code = codeOnly(text);
  const found: FoundImport[] = [];
  const patterns = [
    /\b(?:import|export)\b(?:[\s\w$*,]*\{(?<names>[^}]*)\}|[\s\w$*,]*?)\s*\bfrom\s*(?<quote>["'])(?<gap>[^"']*)["']/g,
    /\bimport\s*(?<quote>["'])(?<gap>[^"']*)["']/g,
    /(?<![.\w$])import\s*\(\s*(?<quote>["'])(?<gap>[^"']*)["']/g,
  ];
  for (const pattern of patterns) {
    for (const match of code.matchAll(pattern)) {
      const gap = match.groups?.["gap"] ?? "";
      const end = match.index + match[0].length - 1;
      found.push({
        specifier: text.slice(end - gap.length, end),
        names: namesIn(match.groups?.["names"]),
        line: lineAt(text, match.index),
      });
    }
  }
  for (const match of code.matchAll(/(?<![.\w$])import\s*\(\s*(?!["'\s])/g)) {
    found.push({ specifier: undefined, names: [], line: lineAt(text, match.index) });
  }
  return found;
}

/** `a, type B as C` → `a`, `B`. */
function namesIn(braces: string | undefined): string[] {
  return (braces ?? "").split(",").flatMap((name) => /^\s*(?:type\s+)?([\w$]+)/.exec(name)?.[1] ?? []);
}

export function lineAt(text: string, index: number): number {
  let line = 1;
  for (let at = text.indexOf("\n"); at !== -1 && at < index; at = text.indexOf("\n", at + 1)) line += 1;
  return line;
}

/** After these words a slash begins a regular expression; after any other word it divides. */
const WORDS_BEFORE_EXPRESSION = /(?:^|[^\w$.])(?:return|typeof|case|in|of|delete|void|throw|new|await|yield|else|do|instanceof)$/;

class Scanner {
  readonly #text: string;
  #at = 0;
  #code = "";

  constructor(text: string) {
    this.#text = text;
  }

  scan(): string {
    this.#scanCode(false);
    return this.#code;
  }

  /** @param inTemplate ends at the brace that closes a template's `${` */
  #scanCode(inTemplate: boolean): void {
    let depth = 0;
    while (this.#at < this.#text.length) {
      const character = this.#text[this.#at] as string;
      const next = this.#text[this.#at + 1];
      if (character === "/" && next === "/") this.#blankUntil(this.#endOf("\n"));
      else if (character === "/" && next === "*") this.#blankUntil(this.#endOf("*/") + 2);
      else if (character === '"' || character === "'") this.#scanQuoted(character);
      else if (character === "`") this.#scanTemplate();
      else if (character === "/" && this.#expressionMayBegin()) this.#scanExpression();
      else {
        if (inTemplate && character === "}" && depth === 0) return;
        if (character === "{") depth += 1;
        if (character === "}") depth -= 1;
        this.#keep();
      }
    }
  }

  #scanQuoted(quote: string): void {
    this.#keep();
    while (this.#at < this.#text.length && this.#text[this.#at] !== quote && this.#text[this.#at] !== "\n") this.#blankCharacter();
    this.#keep();
  }

  #scanTemplate(): void {
    this.#keep();
    while (this.#at < this.#text.length && this.#text[this.#at] !== "`") {
      if (this.#text.startsWith("${", this.#at)) {
        this.#blankUntil(this.#at + 2);
        this.#scanCode(true);
      }
      this.#blankCharacter();
    }
    this.#keep();
  }

  #scanExpression(): void {
    let inClass = false;
    this.#blankCharacter();
    while (this.#at < this.#text.length && this.#text[this.#at] !== "\n") {
      const character = this.#text[this.#at];
      if (character === "[") inClass = true;
      if (character === "]") inClass = false;
      this.#blankCharacter();
      if (character === "/" && !inClass) return;
    }
  }

  #expressionMayBegin(): boolean {
    const before = this.#code.trimEnd();
    return before === "" || /[(,=:[!&|?{};+\-*%<>~^]$/.test(before) || WORDS_BEFORE_EXPRESSION.test(before);
  }

  #endOf(mark: string): number {
    const end = this.#text.indexOf(mark, this.#at);
    return end === -1 ? this.#text.length : end;
  }

  #blankUntil(end: number): void {
    while (this.#at < Math.min(end, this.#text.length)) this.#blank();
  }

  /** One character of a literal, with what a backslash escapes. */
  #blankCharacter(): void {
    if (this.#text[this.#at] === "\\") this.#blank();
    this.#blank();
  }

  #blank(): void {
    if (this.#at < this.#text.length) this.#code += this.#text[this.#at] === "\n" ? "\n" : " ";
    this.#at += 1;
  }

  #keep(): void {
    if (this.#at < this.#text.length) this.#code += this.#text[this.#at];
    this.#at += 1;
  }
}
