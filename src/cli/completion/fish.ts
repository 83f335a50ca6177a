/** Completion for fish. */
import type { CompletedCommand, CompletedOption, Value } from "./command-tree.ts";

export function fishScript(commands: readonly CompletedCommand[]): string {
  const lines = commands.flatMap((command) => {
    const when = condition(command);
    const names = new Set(command.below.map(({ name }) => name));
    const isOpen = `${when}${names.size === 0 ? "" : `; and not __fish_seen_subcommand_from ${[...names].join(" ")}`}`;
    return [
      ...command.below.map(({ name, description }) => line(isOpen, `-a ${quoted(name)} -d ${quoted(description)}`)),
      ...command.options.map((option) => line(when, optionWords(option))),
      ...(command.value.kind === "file" || command.value.kind === "choice" ? [line(when, proposal(command.value))] : []),
    ];
  });
  return `# fish completion of troupe, made by 'troupe completion fish'.
complete -c troupe -f
${lines.join("\n")}
`;
}

const line = (when: string, what: string): string => `complete -c troupe -n ${quoted(when)} ${what}`;

/** Fish keeps no place in a tree of commands: those that lead here have been written. */
function condition({ words }: CompletedCommand): string {
  return words.length === 0 ? "true" : words.map((word) => `__fish_seen_subcommand_from ${word}`).join("; and ");
}

function optionWords({ flags, description, value }: CompletedOption): string {
  const names = flags.map((flag) => (flag.startsWith("--") ? `-l ${flag.slice(2)}` : `-s ${flag.slice(1)}`));
  return [...names, proposal(value), `-d ${quoted(description)}`].filter((part) => part !== "").join(" ");
}

function proposal(value: Value): string {
  if (value.kind === "file") return "-r -F";
  if (value.kind === "choice") return `-x -a ${quoted(value.choices.join(" "))}`;
  return value.kind === "text" ? "-x" : "";
}

/** In fish, a backslash is one also between single quotes. */
function quoted(text: string): string {
  return `'${text.replaceAll("\\", "\\\\").replaceAll("'", "\\'")}'`;
}
