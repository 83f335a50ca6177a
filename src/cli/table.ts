/** Rows of text in aligned columns, and text from elsewhere made harmless for a terminal. */
import { HARMFUL } from "../core/harmful-text.ts";

export interface Column {
  readonly title: string;
  readonly align?: "left" | "right";
  /** At least this wide, so that a table printed page by page stays aligned. */
  readonly widthMin?: number;
}

export function printable(text: string): string {
  return text.replace(HARMFUL, "\ufffd");
}

/** Ends with a line break. Without `header` only the rows. */
export function table(columns: readonly Column[], rows: readonly (readonly string[])[], header = true): string {
  const harmless = rows.map((row) => row.map(printable));
  const lines = header ? [columns.map(({ title }) => title), ...harmless] : harmless;
  const widths = columns.map(({ title, widthMin = 0 }, column) =>
    Math.max(widthMin, header ? title.length : 0, ...harmless.map((row) => [...(row[column] ?? "")].length)),
  );
  return lines
    .map(
      (line) =>
        `${columns
          .map((column, index) => cell(column, line[index] ?? "", widths[index] ?? 0))
          .join("  ")
          .trimEnd()}\n`,
    )
    .join("");
}

function cell(column: Column, text: string, width: number): string {
  const padding = " ".repeat(Math.max(0, width - [...text].length));
  return column.align === "right" ? padding + text : text + padding;
}
