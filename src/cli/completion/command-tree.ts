/** The commands of a program with what may come after them, as completion wants to know it. */
import type { Argument, Command, Option } from "commander";

/** What stands after an option, or as a command's own word. */
export type Value =
  | { readonly kind: "none" }
  /** Anything: nothing can be proposed. */
  | { readonly kind: "text" }
  | { readonly kind: "file" }
  | { readonly kind: "choice"; readonly choices: readonly string[] };

export interface CompletedOption {
  /** `--output`, `-o`. */
  readonly flags: readonly string[];
  readonly description: string;
  readonly value: Value;
}

export interface CompletedCommand {
  /** The words that lead to it; none for the program itself. */
  readonly words: readonly string[];
  readonly description: string;
  /** The commands below it. */
  readonly below: readonly { readonly name: string; readonly description: string }[];
  readonly options: readonly CompletedOption[];
  /** Its own word. */
  readonly value: Value;
}

/** Words that stand for a path in the usage text of options and arguments. */
const PATH_WORDS: ReadonlySet<string> = new Set(["file", "path", "directory"]);
const HELP: CompletedOption = { flags: ["-h", "--help"], description: "display help for command", value: { kind: "none" } };

/** All commands, the program itself first. Options of the program are every command's. */
export function commandTree(program: Command): CompletedCommand[] {
  const common = program.options.filter(({ hidden }) => !hidden).map(optionOf);
  const names = program.commands.map((command) => command.name());
  const walk = (command: Command, words: readonly string[]): CompletedCommand[] => [
    {
      words,
      description: command.description(),
      below: command.commands.map((each) => ({ name: each.name(), description: each.description() })),
      options: [...(command === program ? [] : command.options.filter(({ hidden }) => !hidden).map(optionOf)), ...common, HELP],
      value: command.registeredArguments[0] === undefined ? { kind: "none" } : argumentValue(command.registeredArguments[0]),
    },
    ...command.commands.flatMap((each) => walk(each, [...words, each.name()])),
  ];
  const [top, ...rest] = walk(program, []) as [CompletedCommand, ...CompletedCommand[]];
  const help = { name: "help", description: "display help for command" };
  return [
    { ...top, below: [...top.below, help] },
    ...rest,
    { words: [help.name], description: help.description, below: [], options: [], value: { kind: "choice", choices: names } },
  ];
}

function optionOf({ short, long, flags, description, argChoices }: Option): CompletedOption {
  return {
    flags: [short, long].filter((flag) => flag !== undefined),
    description,
    value: valueNamed(/[<[](.+?)[>\]]/.exec(flags)?.[1], argChoices),
  };
}

function argumentValue(argument: Argument): Value {
  // A file of the store has a file's ID or name, which only the server knows.
  const word = argument.description.startsWith("a file's ID") ? "id" : argument.name();
  return valueNamed(word, argument.argChoices);
}

function valueNamed(word: string | undefined, choices: readonly string[] | undefined): Value {
  if (word === undefined) return { kind: "none" };
  if (choices !== undefined) return { kind: "choice", choices };
  return { kind: PATH_WORDS.has(word.replace(/\.+$/, "")) ? "file" : "text" };
}
