/**
 * A directory: its names as everybody sees them, those the device holds, and the changes between.
 *
 * E1: a name is durable only after a sync of its directory; a sync of the file that it names does nothing for it. (Some file systems
 *     are kinder: that is not relied on.)
 * E2: a change is whole or not at all, also a renaming that takes one name away and gives another, in two directories.
 * E3: when the power is cut, each directory keeps a beginning of its changes or, as file systems without a journal, any of them.
 *     Those kept happen in their order.
 */
import type { FileInode } from "./file-inode.ts";

export type Inode = FileInode | DirectoryInode;

interface NameChange {
  readonly directory: DirectoryInode;
  readonly name: string;
  /** Absent: the name is free again. */
  readonly inode: Inode | undefined;
}

/** One step of the operating system (E2). */
export interface EntryChange {
  readonly sequence: number;
  readonly atMs: number;
  readonly names: readonly NameChange[];
  isDurable: boolean;
}

export interface DirectoryLock {
  readonly directory: DirectoryInode;
}

export class DirectoryInode {
  readonly kind = "directory";
  readonly number: number;
  readonly entries = new Map<string, Inode>();
  /** A process owns it. */
  lock: DirectoryLock | undefined;
  #durable = new Map<string, Inode>();
  #pending: EntryChange[] = [];

  constructor(number: number) {
    this.number = number;
  }

  /** Of one that has been there for ever. */
  keepAll(): void {
    this.#durable = new Map(this.entries);
  }

  /** It is seen at once, and durable later. */
  static change(change: EntryChange): void {
    for (const { directory, name, inode } of change.names) {
      if (inode === undefined) directory.entries.delete(name);
      else directory.entries.set(name, inode);
      if (directory.#pending.at(-1) !== change) directory.#pending.push(change);
    }
  }

  /** E1, with what these changes stand on in other directories. */
  persist(beforeSequence: number): void {
    while (this.#pending.length > 0 && (this.#pending[0] as EntryChange).sequence < beforeSequence) {
      const change = this.#pending.shift() as EntryChange;
      if (change.isDurable) continue;
      for (const { directory } of change.names) if (directory !== this) directory.persist(change.sequence);
      DirectoryInode.apply(change);
    }
  }

  static apply(change: EntryChange): void {
    change.isDurable = true;
    for (const { directory, name, inode } of change.names) {
      if (inode === undefined) directory.#durable.delete(name);
      else directory.#durable.set(name, inode);
    }
  }

  /** Nothing waits any more: what was not made durable is forgotten. */
  reset(): void {
    this.#pending = [];
    this.entries.clear();
    for (const [name, inode] of this.#durable) this.entries.set(name, inode);
  }
}
