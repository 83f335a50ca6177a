/**
 * A migration's text as single statements. Our migrations hold no `;` inside a literal or a quoted name and no block comments, which
 * this asserts; so a statement ends at a `;`, and `--` begins a comment.
 */
import assert from "node:assert/strict";

const QUOTES = ["'", '"', "`"];

export function splitStatements(text: string): string[] {
  const statements: string[] = [];
  let statement = "";
  let index = 0;
  const end = (): void => {
    if (statement.trim() !== "") statements.push(statement.trim());
    statement = "";
  };
  while (index < text.length) {
    const character = text[index] as string;
    if (QUOTES.includes(character)) {
      const closing = text.indexOf(character, index + 1);
      assert(closing > index, `a migration closes every ${character}`);
      const quoted = text.slice(index, closing + 1);
      assert(!quoted.includes(";"), `a migration has no ';' inside quotes: ${quoted}`);
      statement += quoted;
      index = closing + 1;
    } else if (text.startsWith("--", index)) {
      const newline = text.indexOf("\n", index);
      index = newline === -1 ? text.length : newline;
    } else {
      assert(!text.startsWith("/*", index), "a migration has no block comments");
      if (character === ";") end();
      else statement += character;
      index += 1;
    }
  }
  end();
  return statements;
}
