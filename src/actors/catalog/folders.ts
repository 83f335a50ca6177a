/**
 * Files by user and name, as folders: a name may hold `/`, and what stands before it is a folder as long as such a name is there.
 *
 * D1: of the files of one name the newest is the one: the last that became a file, then the last ID.
 * D2: what lies below a child folder is skipped by the index and not read: the work of a page grows with its entries, never with what
 *     lies below them. A page that needed many statements ends early, and says where it goes on.
 * D3: entries are ordered by the bytes of their names, a folder's with its slash; so a page neither repeats nor skips what was there before.
 */
import { bytesOf, textOf } from "../../core/byte-text.ts";
import { TroupeError } from "../../core/errors.ts";
import { FOLDER_SCAN_ROWS, FOLDER_STATEMENTS_MAX, NAME_BYTES_MAX } from "../../core/limits.ts";
import type { Principal } from "../../core/principal.ts";
import { safeInteger } from "../../core/safe-integer.ts";
import type { FolderEntry, LocatedFile } from "./contract.ts";
import { loadFile, selectFiles } from "./file-row.ts";
import { merged } from "./merged.ts";
import { fitting } from "./paging.ts";
import { type CatalogPorts, readOwner } from "./ports.ts";
import { type CatalogQuery, FILE_TABLES, type FileTableName, fileTableOfUser } from "./tables.ts";

const SLASH = 0x2f;
const NOTHING = new Uint8Array(0);

/** One version of a name: which file, and what decides between it and others (D1). */
interface Version {
  readonly file_id: Uint8Array;
  readonly create_time: bigint;
}

/** One entry of a folder, found but not loaded: its name in the folder, a folder's with its slash. */
interface Found {
  readonly name: Uint8Array;
  readonly file?: Version;
}

interface LoadedEntry {
  readonly found: Found;
  readonly entry: FolderEntry;
}

/** The part of a file table in which one owner's files of one user are. */
interface Shelf {
  readonly query: CatalogQuery;
  readonly table: FileTableName;
  readonly owner: Uint8Array;
  readonly user: Uint8Array;
}

/** One page of a folder's entries; the folder of a path that no name begins with is empty. @throws {TroupeError} `BAD_CURSOR` */
export async function listFolder(
  ports: CatalogPorts,
  principal: Principal,
  wanted: { readonly user: string; readonly path: string; readonly cursor?: string | undefined; readonly limit: number },
): Promise<{ entries: FolderEntry[]; cursor?: string }> {
  const from = wanted.cursor === undefined ? NOTHING : decodePosition(wanted.cursor);
  return await ports.database.read(async (real) => {
    const { query, isSpent } = counted(real);
    const shelves = await shelvesOf(query, principal, wanted.user);
    const path = bytesOf(wanted.path);
    const { items, hasMore } = await firstOf(
      merged(
        shelves.map((shelf) => scan(shelf, path, from)),
        (a, b) => Buffer.compare(a.name, b.name),
        (a, b) => (isNewer(b.file, a.file) ? b : a),
      ),
      wanted.limit,
      isSpent,
    );
    const loaded = await load(query, fileTableOfUser(wanted.user), wanted.path, items);
    const entries = fitting(
      loaded.map(({ entry }) => entry),
      wanted.limit,
    );
    const last = entries.length < loaded.length ? loaded[entries.length - 1]?.found : hasMore ? items.at(-1) : undefined;
    return last === undefined ? { entries } : { entries, cursor: encodePosition(positionAfter(last)) };
  });
}

/** The newest file of a name (D1), with where its bytes are. @throws {TroupeError} `FILE_NOT_FOUND` */
export async function findByName(
  ports: CatalogPorts,
  principal: Principal,
  wanted: { readonly user: string; readonly name: string },
): Promise<LocatedFile> {
  const file = await ports.database.read(async (query) => {
    let newest: Version | undefined;
    for (const shelf of await shelvesOf(query, principal, wanted.user)) {
      const version = await newestOf(shelf, bytesOf(wanted.name));
      if (isNewer(version, newest)) newest = version;
    }
    return newest === undefined ? undefined : await loadFile(query, textOf(newest.file_id));
  });
  if (file === undefined) throw new TroupeError("FILE_NOT_FOUND");
  return file;
}

/** Labels `user` under which there are files, in order of their bytes. @throws {TroupeError} `BAD_CURSOR` */
export async function listUsers(
  ports: CatalogPorts,
  principal: Principal,
  wanted: { readonly cursor?: string | undefined; readonly limit: number },
): Promise<{ users: string[]; cursor?: string }> {
  const after = wanted.cursor === undefined ? NOTHING : decodePosition(wanted.cursor);
  return await ports.database.read(async (real) => {
    const { query, isSpent } = counted(real);
    const sources: AsyncIterable<Uint8Array>[] = [];
    for (const table of FILE_TABLES) {
      for (const owner of await ownersIn(query, table, principal))
        sources.push(
          distinct(after, (last) =>
            query
              .selectFrom(table)
              .select("user as value")
              .where("owner", "=", owner)
              .where("user", ">", last)
              .orderBy("user")
              .limit(1)
              .executeTakeFirst(),
          ),
        );
    }
    const { items, hasMore } = await firstOf(
      merged(sources, Buffer.compare, (a) => a),
      wanted.limit,
      isSpent,
    );
    const users = fitting(items.map(textOf), wanted.limit);
    const last = hasMore || users.length < items.length ? items[users.length - 1] : undefined;
    return last === undefined ? { users } : { users, cursor: encodePosition(last) };
  });
}

/** The entries of a folder as one owner's names make them (D2, D3). */
async function* scan(shelf: Shelf, path: Uint8Array, position: Uint8Array): AsyncGenerator<Found, void, void> {
  let from: Uint8Array = Buffer.concat([path, position]);
  for (;;) {
    const rows = await selectVersions(shelf, from, path);
    for (let index = 0; index < rows.length; ) {
      const { name } = rows[index] as { readonly name: Uint8Array };
      const slash = name.indexOf(SLASH, path.length);
      const below = slash === -1 ? name : name.subarray(0, slash + 1);
      let next = index + 1;
      while (next < rows.length && isWithin(rows[next]?.name as Uint8Array, below, slash === -1)) next += 1;
      // The last row of a full batch may have newer versions behind it.
      const isCut = next === rows.length && rows.length === FOLDER_SCAN_ROWS;
      const file = slash !== -1 ? undefined : ((isCut ? await newestOf(shelf, name) : undefined) ?? rows[next - 1]);
      const found: Found = { name: below.subarray(path.length), ...(file === undefined ? {} : { file }) };
      yield found;
      from = Buffer.concat([path, positionAfter(found)]);
      index = next;
    }
    if (rows.length < FOLDER_SCAN_ROWS) return;
  }
}

/** Names of a folder and below it from one on, versions of one name from the oldest; all of it stands in the index. */
function selectVersions({ query, table, owner, user }: Shelf, from: Uint8Array, path: Uint8Array) {
  let select = query
    .selectFrom(table)
    .select(["name", "create_time", "file_id"])
    .where("owner", "=", owner)
    .where("user", "=", user)
    .where("name", ">=", from);
  if (path.length > 0) select = select.where("name", "<", behind(path));
  return select.orderBy("name").orderBy("create_time").orderBy("file_id").limit(FOLDER_SCAN_ROWS).execute();
}

function newestOf({ query, table, owner, user }: Shelf, name: Uint8Array): Promise<Version | undefined> {
  return query
    .selectFrom(table)
    .select(["create_time", "file_id"])
    .where("owner", "=", owner)
    .where("user", "=", user)
    .where("name", "=", name)
    .orderBy("create_time", "desc")
    .orderBy("file_id", "desc")
    .limit(1)
    .executeTakeFirst();
}

/** What a listing says of the entries found; a file that was deleted or renamed since is left out. */
async function load(query: CatalogQuery, table: FileTableName, path: string, found: readonly Found[]): Promise<LoadedEntry[]> {
  const ids = found.flatMap(({ file }) => (file === undefined ? [] : [file.file_id]));
  const rows = ids.length === 0 ? [] : await selectFiles(query, table).where("f.file_id", "in", ids).execute();
  const byId = new Map(rows.map((row) => [textOf(row.file_id), row]));
  return found.flatMap((each): LoadedEntry[] => {
    const name = textOf(each.name);
    if (each.file === undefined) return [{ found: each, entry: { kind: "folder", name: name.slice(0, -1) } }];
    const row = byId.get(textOf(each.file.file_id));
    if (row === undefined || textOf(row.name) !== `${path}${name}`) return [];
    const file = {
      fileId: textOf(row.file_id),
      sizeBytes: safeInteger(row.size_bytes),
      contentType: textOf(row.content_type),
      createdMs: safeInteger(row.create_time),
      modifiedMs: safeInteger(row.update_time),
    };
    return [{ found: each, entry: { kind: "file", name, ...file } }];
  });
}

/** One for each owner the principal sees, of which there is one unless it sees all. */
async function shelvesOf(query: CatalogQuery, principal: Principal, user: string): Promise<Shelf[]> {
  const table = fileTableOfUser(user);
  const owners = await ownersIn(query, table, principal);
  return owners.map((owner) => ({ query, table, owner, user: bytesOf(user) }));
}

async function ownersIn(query: CatalogQuery, table: FileTableName, principal: Principal): Promise<Uint8Array[]> {
  const only = readOwner(principal);
  if (only !== undefined) return [bytesOf(only)];
  // As many as there are tokens, and have been.
  const owners: Uint8Array[] = [];
  const every = distinct(NOTHING, (last) =>
    query.selectFrom(table).select("owner as value").where("owner", ">", last).orderBy("owner").limit(1).executeTakeFirst(),
  );
  for await (const owner of every) owners.push(owner);
  return owners;
}

/** The different values of an indexed column, each found from the one before. */
async function* distinct(
  after: Uint8Array,
  next: (last: Uint8Array) => Promise<{ readonly value: Uint8Array } | undefined>,
): AsyncGenerator<Uint8Array, void, void> {
  for (let row = await next(after); row !== undefined; row = await next(row.value)) yield row.value;
}

/** @param isSpent asked before each item but the first: whether no more may be looked for */
async function firstOf<Item>(
  source: AsyncIterable<Item>,
  limit: number,
  isSpent: () => boolean,
): Promise<{ readonly items: Item[]; readonly hasMore: boolean }> {
  const items: Item[] = [];
  for await (const item of source) {
    if (items.length === limit) return { items, hasMore: true };
    items.push(item);
    if (isSpent()) return { items, hasMore: true };
  }
  return { items, hasMore: false };
}

/** D2: a query that knows how many statements were made of it. */
function counted(real: CatalogQuery): { readonly query: CatalogQuery; readonly isSpent: () => boolean } {
  let count = 0;
  const query = real.withPlugin({
    transformQuery: ({ node }) => {
      count += 1;
      return node;
    },
    transformResult: async ({ result }) => result,
  });
  return { query, isSpent: () => count >= FOLDER_STATEMENTS_MAX };
}

function isNewer(one: Version | undefined, other: Version | undefined): boolean {
  if (one === undefined || other === undefined) return one !== undefined;
  return one.create_time > other.create_time || (one.create_time === other.create_time && Buffer.compare(one.file_id, other.file_id) > 0);
}

function isWithin(name: Uint8Array, below: Uint8Array, isFile: boolean): boolean {
  return (
    (isFile ? name.length === below.length : name.length > below.length) && Buffer.compare(name.subarray(0, below.length), below) === 0
  );
}

/** The first name in the folder that may follow an entry. A name holds no NUL, so nothing stands between a name and itself with one. */
function positionAfter({ name, file }: Found): Uint8Array {
  return file === undefined ? behind(name) : Buffer.concat([name, Uint8Array.of(0)]);
}

/** What follows all that begins with a path: of a slash, the last byte can grow. */
function behind(path: Uint8Array): Uint8Array {
  return Buffer.concat([path.subarray(0, -1), Uint8Array.of(SLASH + 1)]);
}

function encodePosition(position: Uint8Array): string {
  return Buffer.from(position).toString("base64url");
}

/** @throws {TroupeError} `BAD_CURSOR` */
function decodePosition(cursor: string): Uint8Array {
  const position = Buffer.from(cursor, "base64url");
  if (position.length === 0 || position.length > NAME_BYTES_MAX + 1 || encodePosition(position) !== cursor)
    throw new TroupeError("BAD_CURSOR");
  return position;
}
