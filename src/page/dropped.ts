/** Files from this device: dropped, chosen or pasted, folders with all they hold. */

export interface LocalFile {
  readonly file: File;
  /** With the folders that were dropped: `Holiday/day 1/beach.mp4`. */
  readonly path: string;
}

export interface Gathered {
  readonly files: readonly LocalFile[];
  /** What the browser could not read, by path. */
  readonly unreadable: readonly string[];
}

/** A browser takes a while to answer for each entry. */
const ENTRIES_AT_ONCE = 100;

/**
 * What was dropped. The browser empties a drop as soon as its event is over, so its entries are taken before anything is waited for.
 * @param filesMax where a folder goes on, it is not read further
 */
export function droppedFiles(transfer: DataTransfer, filesMax: number): Promise<Gathered> {
  const items = [...transfer.items].filter(({ kind }) => kind === "file");
  const entries = items.flatMap((item) => item.webkitGetAsEntry() ?? []);
  return entries.length > 0 ? gather(entries, filesMax) : Promise.resolve({ files: chosenFiles(transfer.files), unreadable: [] });
}

/** Of an `<input type=file>`, also one for folders. */
export function chosenFiles(files: FileList): LocalFile[] {
  return Array.from(files, (file) => ({ file, path: file.webkitRelativePath === "" ? file.name : file.webkitRelativePath }));
}

async function gather(roots: readonly FileSystemEntry[], filesMax: number): Promise<Gathered> {
  const files: LocalFile[] = [];
  const unreadable: string[] = [];
  const waiting = [...roots];
  const read = async (entry: FileSystemEntry): Promise<void> => {
    const path = entry.fullPath.replace(/^\//, "");
    try {
      if (isFile(entry)) files.push({ file: await fileOf(entry), path });
      else if (isFolder(entry)) for (const child of await childrenOf(entry)) waiting.push(child);
    } catch {
      // Told to the user with its name.
      unreadable.push(path);
    }
  };
  while (waiting.length > 0 && files.length < filesMax) await Promise.all(waiting.splice(0, ENTRIES_AT_ONCE).map(read));
  return { files, unreadable };
}

const isFile = (entry: FileSystemEntry): entry is FileSystemFileEntry => entry.isFile;
const isFolder = (entry: FileSystemEntry): entry is FileSystemDirectoryEntry => entry.isDirectory;
const fileOf = (entry: FileSystemFileEntry): Promise<File> => new Promise((resolve, reject) => entry.file(resolve, reject));

/** A reader gives a hundred or so at a time, and nothing at the end. */
async function childrenOf(folder: FileSystemDirectoryEntry): Promise<FileSystemEntry[]> {
  const reader = folder.createReader();
  const children: FileSystemEntry[] = [];
  for (;;) {
    const some = await new Promise<FileSystemEntry[]>((resolve, reject) => reader.readEntries(resolve, reject));
    if (some.length === 0) return children;
    children.push(...some);
  }
}
