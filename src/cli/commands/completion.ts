/** `troupe completion SHELL`: a script with which a shell completes our commands. It is made from the commands themselves. */
import { Argument } from "commander";
import { bashScript } from "../completion/bash.ts";
import { commandTree } from "../completion/command-tree.ts";
import { fishScript } from "../completion/fish.ts";
import { zshScript } from "../completion/zsh.ts";
import type { Definition } from "../session.ts";

const SCRIPTS = { bash: bashScript, zsh: zshScript, fish: fishScript } as const;
type Shell = keyof typeof SCRIPTS;
const SHELLS = Object.keys(SCRIPTS) as Shell[];

const EXAMPLES = `
It completes the name troupe. Where the command is begun as npx troupe, or by its path, make that name first, in ~/.bashrc or ~/.zshrc:
  troupe() { npx troupe "$@"; }
and in ~/.config/fish/config.fish:
  function troupe; npx troupe $argv; end

Examples:
  troupe completion bash > ~/.local/share/bash-completion/completions/troupe
  source <(troupe completion zsh)                  in ~/.zshrc, after compinit
  troupe completion fish > ~/.config/fish/completions/troupe.fish
`;

export const completionCommand: Definition = (program, act) => {
  program
    .command("completion")
    .description("print a script that completes these commands in a shell")
    .addArgument(new Argument("<shell>", "the shell").choices(SHELLS))
    .addHelpText("after", EXAMPLES)
    .action(
      act(async ({ context }, [word]) => {
        const shell = SHELLS.find((each) => each === word);
        if (shell !== undefined) context.terminal.out(SCRIPTS[shell](commandTree(program)));
      }),
    );
};
