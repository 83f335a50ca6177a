/** `troupe play ID`: a player of this machine plays a file, by a signed link: no token is seen in the list of processes. */
import { TroupeError } from "../../core/errors.ts";
import type { Machine } from "../context.ts";
import { EXIT } from "../exit-code.ts";
import type { Definition, Session } from "../session.ts";
import { printable } from "../table.ts";
import { Told } from "../told.ts";
import { linkTo } from "./link.ts";

interface PlayOptions {
  readonly player?: string;
}

interface Player {
  readonly path: string;
  readonly argv: readonly string[];
}

/** Longer than any film, and over by tomorrow. */
const LINK_SECONDS = 24 * 3600;

/** In the order in which they are tried, with what makes them end after the file, and where they know it what ends their options. */
const PLAYERS: readonly { readonly name: string; readonly argv: readonly string[]; readonly platform?: string }[] = [
  { name: "mpv", argv: ["--"] },
  { name: "vlc", argv: ["--play-and-exit"] },
  { name: "ffplay", argv: ["-autoexit", "--"] },
  { name: "iina", argv: [], platform: "darwin" },
  { name: "open", argv: [], platform: "darwin" },
];

const EXAMPLES = `
Starts mpv, vlc or ffplay, whichever is found first (on macOS also iina, or what opens a URL there), and waits until it ends.

Examples:
  troupe play 65f0c1d2…01
  troupe play holidays/film.mkv
  troupe play holidays/film.mkv --player 'mpv --fullscreen'
`;

export const playCommand: Definition = (program, act) => {
  program
    .command("play")
    .description("play a file with a player of this machine")
    .argument("<file>", "a file's ID, URL or name")
    .option("--player <command>", "the player, with options if it needs some; the URL comes last")
    .addHelpText("after", EXAMPLES)
    .action(act<PlayOptions>(play));
};

async function play(session: Session, [word = ""]: readonly string[], { player: wanted }: PlayOptions): Promise<void> {
  const { context, json } = session;
  const { machine, terminal } = context;
  const player = wanted === undefined ? foundPlayer(machine) : namedPlayer(machine, wanted);
  const { url, fileId } = await linkTo(session, word, LINK_SECONDS);
  if (player === undefined) {
    if (!json)
      terminal.err("No player was found: install mpv, vlc or ffmpeg, or name one with --player. Any player takes this URL, for a day:\n");
    terminal.out(json ? `${JSON.stringify({ fileId, url })}\n` : `${url}\n`);
    throw new Told(EXIT.failed);
  }
  if (!json) terminal.err(`Playing with ${printable(player.path)}.\n`);
  const code = await machine.runProgram(player.path, [...player.argv, url]);
  if (json) terminal.out(`${JSON.stringify({ fileId, url, player: player.path, playerExitCode: code })}\n`);
  if (code === 0) return;
  if (!json) terminal.err(`troupe: ${printable(player.path)} ended with ${code}.\n`);
  throw new Told(EXIT.failed);
}

function foundPlayer(machine: Machine): Player | undefined {
  for (const { name, argv, platform = machine.platform } of PLAYERS) {
    const path = platform === machine.platform ? machine.findProgram(name) : undefined;
    if (path !== undefined) return { path, argv };
  }
  return undefined;
}

function namedPlayer(machine: Machine, command: string): Player {
  const [name = "", ...argv] = command.trim().split(/\s+/);
  const path = machine.findProgram(name);
  if (path === undefined) throw new TroupeError("BAD_REQUEST", `No program ${JSON.stringify(name)} is found to play with.`);
  return { path, argv };
}
