/** Completion for zsh: to be sourced after compinit, or kept as `_troupe` in a folder of `fpath`. */
import type { CompletedCommand, CompletedOption, Value } from "./command-tree.ts";
import { singleQuoted } from "./single-quoted.ts";

export function zshScript(commands: readonly CompletedCommand[]): string {
  return `#compdef troupe
# zsh completion of troupe, made by 'troupe completion zsh'.
_troupe() {
  local at= word previous=$words[CURRENT-1]
  local -i i
  local -a proposed
  # Which command is meant: the words so far, without options and their values.
  for ((i = 2; i < CURRENT; i++)); do
    word=$words[i]
    case "$at|$word" in
${steps(commands)}
    esac
  done
  case "$at|$previous" in
${optionValues(commands)}
  esac
  if [[ $words[CURRENT] == -* ]]; then
    case "$at" in
${commands.map(optionWords).join("\n")}
    esac
    _describe -o option proposed
    return
  fi
  case "$at" in
${commands.flatMap(ownWords).join("\n")}
  esac
}
if [[ $funcstack[1] == _troupe ]]; then
  _troupe "$@"
else
  compdef _troupe troupe
fi
`;
}

const pattern = ({ words }: CompletedCommand, word?: string): string =>
  singleQuoted(word === undefined ? words.join(" ") : `${words.join(" ")}|${word}`);

/** `name:description`, as _describe wants it. */
const described = (name: string, description: string): string => singleQuoted(`${name.replaceAll(":", "\\:")}:${description}`);

function steps(commands: readonly CompletedCommand[]): string {
  return commands
    .flatMap((command) => [
      ...command.below.map(({ name }) => `      ${pattern(command, name)}) at=${singleQuoted([...command.words, name].join(" "))} ;;`),
      ...withValue(command).map(({ flags }) => `      ${flags.map((flag) => pattern(command, flag)).join(" | ")}) ((i++)) ;;`),
    ])
    .join("\n");
}

function optionValues(commands: readonly CompletedCommand[]): string {
  return commands
    .flatMap((command) =>
      withValue(command).map(
        ({ flags, value }) => `    ${flags.map((flag) => pattern(command, flag)).join(" | ")}) ${proposal(value)}return ;;`,
      ),
    )
    .join("\n");
}

const withValue = ({ options }: CompletedCommand): CompletedOption[] => options.filter(({ value }) => value.kind !== "none");

function optionWords(command: CompletedCommand): string {
  const words = command.options.flatMap(({ flags, description }) => flags.map((flag) => described(flag, description)));
  return `      ${pattern(command)}) proposed=(${words.join(" ")}) ;;`;
}

function ownWords(command: CompletedCommand): string[] {
  if (command.below.length > 0) {
    const words = command.below.map(({ name, description }) => described(name, description)).join(" ");
    return [`    ${pattern(command)}) proposed=(${words}); _describe command proposed ;;`];
  }
  const proposed = proposal(command.value);
  return proposed === "" ? [] : [`    ${pattern(command)}) ${proposed};;`];
}

/** Ends with `; `, or is empty. */
function proposal(value: Value): string {
  if (value.kind === "file") return "_files; ";
  return value.kind === "choice" ? `compadd -- ${value.choices.map(singleQuoted).join(" ")}; ` : "";
}
