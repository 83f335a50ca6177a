/**
 * The `troupe` command: its commands, the options all of them have, and how it ends.
 *
 * C1: stdout has what was asked for and nothing else; everything said to a person goes to stderr.
 * C2: the exit code is 0 done, 1 failed, 2 wrong usage, 3 not found, 4 refused, 5 unreachable.
 * C3: no error is shown with a stack; each is one line, or with `--json` one object, on stderr.
 * C4: whatever a server says, nothing of it is a command to the terminal, an option of a program or a path that leads elsewhere.
 */
import { Command, CommanderError } from "commander";
import { TroupeError } from "../core/errors.ts";
import { actorsCommand } from "./commands/actors.ts";
import { cancelCommand } from "./commands/cancel.ts";
import { completionCommand } from "./commands/completion.ts";
import { configCommand } from "./commands/config.ts";
import { decodeCommand } from "./commands/decode.ts";
import { deleteCommand } from "./commands/delete.ts";
import { doctorCommand } from "./commands/doctor.ts";
import { downloadCommand } from "./commands/download.ts";
import { groupsCommand } from "./commands/groups.ts";
import { inspectCommand } from "./commands/inspect.ts";
import { linkCommand } from "./commands/link.ts";
import { listCommand } from "./commands/ls.ts";
import { nodesCommand } from "./commands/nodes.ts";
import { playCommand } from "./commands/play.ts";
import { sizeCommand } from "./commands/size.ts";
import { traceCommand } from "./commands/trace.ts";
import { uploadCommand } from "./commands/upload.ts";
import { uploadsCommand } from "./commands/uploads.ts";
import type { CommandContext } from "./context.ts";
import { EXIT, type ExitCode, exitCodeOf, failureJson, failureLine } from "./exit-code.ts";
import { harmlessTerminal } from "./harmless-terminal.ts";
import { type Definition, GATEWAY_DEFAULT, type GlobalOptions, openSession, type Work } from "./session.ts";
import { Told } from "./told.ts";

const COMMANDS: readonly Definition[] = [
  uploadCommand,
  downloadCommand,
  sizeCommand,
  deleteCommand,
  listCommand,
  linkCommand,
  playCommand,
  groupsCommand,
  nodesCommand,
  uploadsCommand,
  cancelCommand,
  inspectCommand,
  traceCommand,
  actorsCommand,
  decodeCommand,
  configCommand,
  doctorCommand,
  completionCommand,
];

const EXAMPLES = `
Examples:
  troupe upload film.mkv                     prints the file's URL
  troupe download 6a1f…01 -o film.mkv
  troupe ls holidays/
  troupe --gateway http://nas:8080 --token alice:… uploads
  troupe --nats nats://client:…@bus:4222 nodes
  troupe help upload                         more about one command

Exit codes: 0 done, 1 failed, 2 wrong usage, 3 not found, 4 refused, 5 unreachable: the server, or a part of it.
`;

/** @param argv without the program and the script */
export async function runCommandLine(argv: readonly string[], given: CommandContext): Promise<ExitCode> {
  const terminal = harmlessTerminal(given.terminal);
  const context = { ...given, terminal };
  const program = new Command("troupe");
  program
    .description("Stores large files on a Troupe server and gets them back.")
    .version(context.version, "--version", "print the version")
    .option("--gateway <url>", `the server (default: ${GATEWAY_DEFAULT}, env: TROUPE_GATEWAY)`)
    .option("--nats <url>", "speak to the actors on this bus, without a gateway (env: TROUPE_NATS)")
    .option("--owner <name>", "with --nats: whose files and uploads (default: local, env: TROUPE_OWNER)")
    .option("--token <token>", "owner:secret, or the secret alone (env: TROUPE_TOKEN, or TROUPE_TOKEN_FILE)")
    .option("--json", "print what is found, and errors, as JSON with exact numbers")
    .exitOverride()
    .configureOutput({
      writeOut: (text) => terminal.out(text),
      writeErr: (text) => terminal.err(text),
      getOutHelpWidth: () => terminal.columns,
    })
    .configureHelp({ showGlobalOptions: true })
    .showHelpAfterError("See 'troupe --help', or --help after a command.")
    .addHelpText("after", EXAMPLES);
  const act = <Options>(work: Work<Options>) =>
    async function (this: Command): Promise<void> {
      await work(openSession(context, program.opts()), this.args, this.opts() as Options);
    };
  for (const define of COMMANDS) define(program, act);
  try {
    await program.parseAsync([...argv], { from: "user" });
    return EXIT.done;
  } catch (error) {
    if (error instanceof CommanderError) return error.exitCode === 0 ? EXIT.done : EXIT.usage;
    if (error instanceof Told) return error.exitCode;
    const options = program.opts<GlobalOptions>();
    if (options.json !== true && context.signal.aborted && error instanceof TroupeError && error.code === "CANCELLED") {
      terminal.err("Stopped.\n");
      return EXIT.failed;
    }
    terminal.err(`${options.json === true ? failureJson(error) : failureLine(error, askedOf(context, options))}\n`);
    return exitCodeOf(error);
  }
}

/** Who was asked, as far as the options say. */
function askedOf(context: CommandContext, options: GlobalOptions): string {
  try {
    return openSession(context, options).gateway;
  } catch {
    // It is these options that are wrong, and that is being told.
    return "";
  }
}
