/** Lines of `case` that bash and zsh read alike: which command is meant by the words so far, and what an option's value may be. */
import type { CompletedCommand, CompletedOption, Value } from "./command-tree.ts";

/** A text as both shells read it back. */
export function singleQuoted(text: string): string {
  return `'${text.replaceAll("'", "'\\''")}'`;
}

/** The command, or the command with the word that comes next. */
export const casePattern = ({ words }: CompletedCommand, word?: string): string =>
  singleQuoted(word === undefined ? words.join(" ") : `${words.join(" ")}|${word}`);

/** One word on: into a command below, or over an option's value. `at` is the command so far, `i` the word. */
export function stepLines(commands: readonly CompletedCommand[]): string {
  return commands
    .flatMap((command) => [
      ...command.below.map(({ name }) => `      ${casePattern(command, name)}) at=${singleQuoted([...command.words, name].join(" "))} ;;`),
      ...withValue(command).map((option) => `      ${flagPatterns(command, option)}) ((i++)) ;;`),
    ])
    .join("\n");
}

/** @param proposal a shell's command for a value, with its semicolon; empty where nothing can be proposed */
export function valueLines(commands: readonly CompletedCommand[], proposal: (value: Value) => string): string {
  return commands
    .flatMap((command) => withValue(command).map((option) => `    ${flagPatterns(command, option)}) ${proposal(option.value)}return ;;`))
    .join("\n");
}

const withValue = ({ options }: CompletedCommand): CompletedOption[] => options.filter(({ value }) => value.kind !== "none");

const flagPatterns = (command: CompletedCommand, { flags }: CompletedOption): string =>
  flags.map((flag) => casePattern(command, flag)).join(" | ");
