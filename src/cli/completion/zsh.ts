/** Completion for zsh: to be sourced after compinit, or kept as `_troupe` in a folder of `fpath`. */
import { casePattern, singleQuoted, stepLines, valueLines } from "./case-lines.ts";
import type { CompletedCommand, Value } from "./command-tree.ts";

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
${stepLines(commands)}
    esac
  done
  case "$at|$previous" in
${valueLines(commands, proposal)}
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

/** `name:description`, as _describe wants it. */
const described = (name: string, description: string): string => singleQuoted(`${name.replaceAll(":", "\\:")}:${description}`);

function optionWords(command: CompletedCommand): string {
  const words = command.options.flatMap(({ flags, description }) => flags.map((flag) => described(flag, description)));
  return `      ${casePattern(command)}) proposed=(${words.join(" ")}) ;;`;
}

function ownWords(command: CompletedCommand): string[] {
  if (command.below.length > 0) {
    const words = command.below.map(({ name, description }) => described(name, description)).join(" ");
    return [`    ${casePattern(command)}) proposed=(${words}); _describe command proposed ;;`];
  }
  const proposed = proposal(command.value);
  return proposed === "" ? [] : [`    ${casePattern(command)}) ${proposed};;`];
}

/** Ends with `; `, or is empty. */
function proposal(value: Value): string {
  if (value.kind === "file") return "_files; ";
  return value.kind === "choice" ? `compadd -- ${value.choices.map(singleQuoted).join(" ")}; ` : "";
}
