/** Who hears a subject: patterns by token, so that finding the receivers takes steps by the subject's tokens and not by how many subscribe. */

interface Branch<T> {
  readonly children: Map<string, Branch<T>>;
  readonly items: Set<T>;
}

const branch = <T>(): Branch<T> => ({ children: new Map(), items: new Set() });

export class SubjectTrie<T> {
  readonly #root = branch<T>();
  #count = 0;

  get count(): number {
    return this.#count;
  }

  /** @param pattern a valid subject pattern */
  add(pattern: string, item: T): void {
    let at = this.#root;
    for (const token of pattern.split(".")) {
      const next = at.children.get(token) ?? branch();
      at.children.set(token, next);
      at = next;
    }
    if (!at.items.has(item)) this.#count += 1;
    at.items.add(item);
  }

  /** Removing what is not there is harmless. Branches nobody uses go with it. */
  remove(pattern: string, item: T): void {
    const tokens = pattern.split(".");
    const path = [this.#root];
    for (const token of tokens) {
      const next = path.at(-1)?.children.get(token);
      if (next === undefined) return;
      path.push(next);
    }
    if (path.at(-1)?.items.delete(item)) this.#count -= 1;
    for (let index = tokens.length; index > 0; index -= 1) {
      const at = path[index] as Branch<T>;
      if (at.items.size > 0 || at.children.size > 0) return;
      path[index - 1]?.children.delete(tokens[index - 1] as string);
    }
  }

  /** @param subject a valid subject: it holds no wildcard, so `*` and `>` can be children like any other */
  match(subject: string): T[] {
    const found: T[] = [];
    collect(this.#root, subject.split("."), 0, found);
    return found;
  }
}

function collect<T>(at: Branch<T>, tokens: readonly string[], index: number, found: T[]): void {
  const token = tokens[index];
  if (token === undefined) {
    found.push(...at.items);
    return;
  }
  const rest = at.children.get(">");
  if (rest !== undefined) found.push(...rest.items);
  const any = at.children.get("*");
  if (any !== undefined) collect(any, tokens, index + 1, found);
  const exact = at.children.get(token);
  if (exact !== undefined) collect(exact, tokens, index + 1, found);
}
