/**
 * How wide a text is, by a table instead of a font: the same picture comes out on every machine. The widths are those of DejaVu Sans, the
 * widest of the fonts that the style asks for, so that a text has the room it needs in any of them.
 */

/** In thousandths of the font's size. */
const WIDTHS: Readonly<Record<number, string>> = {
  280: "ijl'IJ",
  320: " ,.",
  350: "/:;\\|f",
  400: "-()[]t!",
  460: 'r"',
  525: "szc*_`",
  580: "LFkvxyPTY",
};
const CAPITAL = 750;
const WIDE = 980;
const OTHER = 636;
const BOLD = 1.12;

const BY_CHARACTER = new Map(Object.entries(WIDTHS).flatMap(([width, characters]) => [...characters].map((one) => [one, Number(width)])));

/** In pixels, for letters of `size` pixels. */
export function textWidth(text: string, size: number, weight: "normal" | "bold" = "normal"): number {
  const thousandths = [...text].reduce((sum, character) => sum + widthOf(character), 0);
  return (thousandths * size * (weight === "bold" ? BOLD : 1)) / 1000;
}

function widthOf(character: string): number {
  const known = BY_CHARACTER.get(character);
  if (known !== undefined) return known;
  if ("mwMW@%".includes(character) || character > "~") return WIDE;
  return /[A-Z&#+<=>^~]/.test(character) ? CAPITAL : OTHER;
}
