/** Completion for bash, from 3.2 on. */
import type { CompletedCommand, Value } from "./command-tree.ts";
import { singleQuoted } from "./single-quoted.ts";

export function bashScript(commands: readonly CompletedCommand[]): string {
  return `# bash completion of troupe, made by 'troupe completion bash'.
_troupe() {
  local at= cur=\${COMP_WORDS[COMP_CWORD]} prev=\${COMP_WORDS[COMP_CWORD - 1]} word i
  local IFS=$' \\t\\n'
  COMPREPLY=()
  # Which command is meant: the words so far, without options and their values.
  for ((i = 1; i < COMP_CWORD; i++)); do
    word=\${COMP_WORDS[i]}
    case "$at|$word" in
${steps(commands)}
    esac
  done
  case "$at|$prev" in
${optionValues(commands)}
  esac
  if [[ $cur == -* ]]; then
    case "$at" in
${commands.map((command) => `      ${pattern(command)}) _troupe_words ${singleQuoted(flagsOf(command).join(" "))} ;;`).join("\n")}
    esac
    return
  fi
  case "$at" in
${commands.flatMap(ownWords).join("\n")}
  esac
}
_troupe_words() {
  COMPREPLY=($(compgen -W "$1" -- "$cur"))
}
_troupe_files() {
  local IFS=$'\\n'
  compopt -o filenames 2>/dev/null
  COMPREPLY=($(compgen -f -- "$cur"))
}
complete -F _troupe troupe
`;
}

const pattern = ({ words }: CompletedCommand, word?: string): string =>
  singleQuoted(word === undefined ? words.join(" ") : `${words.join(" ")}|${word}`);

const flagsOf = ({ options }: CompletedCommand): string[] => options.flatMap(({ flags }) => flags);

/** One step on: into a command below, or over an option's value. */
function steps(commands: readonly CompletedCommand[]): string {
  return commands
    .flatMap((command) => [
      ...command.below.map(({ name }) => `      ${pattern(command, name)}) at=${singleQuoted([...command.words, name].join(" "))} ;;`),
      ...command.options
        .filter(({ value }) => value.kind !== "none")
        .map(({ flags }) => `      ${flags.map((flag) => pattern(command, flag)).join(" | ")}) ((i++)) ;;`),
    ])
    .join("\n");
}

function optionValues(commands: readonly CompletedCommand[]): string {
  return commands
    .flatMap((command) =>
      command.options
        .filter(({ value }) => value.kind !== "none")
        .map(({ flags, value }) => `    ${flags.map((flag) => pattern(command, flag)).join(" | ")}) ${proposal(value)}return ;;`),
    )
    .join("\n");
}

function ownWords(command: CompletedCommand): string[] {
  if (command.below.length > 0) {
    const names = command.below.map(({ name }) => name).join(" ");
    return [`    ${pattern(command)}) _troupe_words ${singleQuoted(names)} ;;`];
  }
  const proposed = proposal(command.value);
  return proposed === "" ? [] : [`    ${pattern(command)}) ${proposed};;`];
}

/** Ends with `; `, or is empty. */
function proposal(value: Value): string {
  if (value.kind === "file") return "_troupe_files; ";
  return value.kind === "choice" ? `_troupe_words ${singleQuoted(value.choices.join(" "))}; ` : "";
}
