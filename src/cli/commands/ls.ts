/** `troupe ls [PREFIX]`: files, newest first. */
import type { StoredFile } from "../../client/answers.ts";
import { approximateSize } from "../../config/size.ts";
import { JsonList } from "../json-list.ts";
import { readCount } from "../option-values.ts";
import type { Definition } from "../session.ts";
import { type Column, printable, table } from "../table.ts";
import { shortTime } from "../time-text.ts";

interface ListOptions {
  readonly app?: string;
  readonly user?: string;
  readonly limit?: number;
}

const COLUMNS: readonly Column[] = [
  { title: "ID", widthMin: 36 },
  { title: "SIZE", align: "right", widthMin: 9 },
  { title: "CREATED", widthMin: 16 },
  { title: "NAME" },
];

export const listCommand: Definition = (program, act) => {
  program
    .command("ls")
    .description("list files, newest first")
    .argument("[prefix]", "only names that begin with this")
    .option("--app <label>", "only files with this app label")
    .option("--user <label>", "only files with this user label")
    .option("--limit <count>", "at most this many", readCount)
    .addHelpText("after", "\nExamples:\n  troupe ls\n  troupe ls holidays/ --limit 20\n  troupe ls --json\n")
    .action(
      act<ListOptions>(async ({ client, context, json }, [prefix], { app, user, limit = Number.POSITIVE_INFINITY }) => {
        const list = json ? new JsonList(context.terminal, "files") : undefined;
        let count = 0;
        for await (const page of client.allFiles({ prefix, app, user }, context.signal)) {
          const files = page.slice(0, limit - count);
          if (list !== undefined) await list.add(files);
          else if (files.length > 0) context.terminal.out(table(COLUMNS, files.map(rowOf), count === 0));
          count += files.length;
          if (count >= limit) break;
        }
        if (list !== undefined) await list.end();
        else if (count === 0) context.terminal.err(noneSentence(prefix, app !== undefined || user !== undefined));
      }),
    );
};

const rowOf = ({ fileId, size, created, name }: StoredFile): string[] => [fileId, approximateSize(size), shortTime(created), name];

function noneSentence(prefix: string | undefined, isFiltered: boolean): string {
  if (prefix !== undefined) return `No file's name begins with ${printable(prefix)}${isFiltered ? " and has these labels" : ""}.\n`;
  return isFiltered ? "No file has these labels.\n" : "There is no file yet.\n";
}
