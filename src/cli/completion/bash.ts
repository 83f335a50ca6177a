/** Completion for bash, from 3.2 on. */
import { casePattern, singleQuoted, stepLines, valueLines } from "./case-lines.ts";
import type { CompletedCommand, Value } from "./command-tree.ts";

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
${stepLines(commands)}
    esac
  done
  case "$at|$prev" in
${valueLines(commands, proposal)}
  esac
  if [[ $cur == -* ]]; then
    case "$at" in
${commands.map((command) => `      ${casePattern(command)}) _troupe_words ${singleQuoted(flagsOf(command).join(" "))} ;;`).join("\n")}
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

const flagsOf = ({ options }: CompletedCommand): string[] => options.flatMap(({ flags }) => flags);

function ownWords(command: CompletedCommand): string[] {
  if (command.below.length > 0) {
    const names = command.below.map(({ name }) => name).join(" ");
    return [`    ${casePattern(command)}) _troupe_words ${singleQuoted(names)} ;;`];
  }
  const proposed = proposal(command.value);
  return proposed === "" ? [] : [`    ${casePattern(command)}) ${proposed};;`];
}

/** Ends with `; `, or is empty. */
function proposal(value: Value): string {
  if (value.kind === "file") return "_troupe_files; ";
  return value.kind === "choice" ? `_troupe_words ${singleQuoted(value.choices.join(" "))}; ` : "";
}
