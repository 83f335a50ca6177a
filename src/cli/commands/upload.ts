/** `troupe upload FILE…`: each file's URL on stdout, everything else on stderr. */
import { CLIENT_PARALLEL_DEFAULT } from "../../core/limits.ts";
import { EXIT } from "../exit-code.ts";
import { readBandwidth, readChunk, readParallel } from "../option-values.ts";
import type { Definition } from "../session.ts";
import { Told } from "../told.ts";
import { tellPlan } from "../upload/dry-run.ts";
import { checkUsage, type UploadOptions } from "../upload/options.ts";
import { uploadAll } from "../upload/run.ts";

const EXAMPLES = `
Prints the URL of each file on stdout, one a line; with --json one object a line. '-' is stdin.

The same command again, after whatever broke it off, goes on by itself and sends only the chunks that are missing; after it had
finished, it sends nothing and prints the URL once more. So it does where the newest file of that name has the same size and BLAKE3.
--fresh begins anew in any case, and makes a new file. What it has to remember for that is in $TROUPE_STATE_DIR, $XDG_STATE_HOME/troupe or the system's place for such things.

A folder is uploaded with all it holds, hidden files too: photos/ becomes photos/a/b.jpg and so on, with and without the slash;
--name puts another name in place of the folder's. Symbolic links and special files are skipped, and that is said; empty folders
are left out. A folder run again sends only what is new or has changed: files of the same name and size are compared by BLAKE3.

Content the server has is not sent again: of files up to 8 MiB it is asked before, of larger ones as soon as their BLAKE3 is known,
which is computed meanwhile. --checksum computes it first in any case.

Examples:
  troupe upload film.mkv
  troupe upload photos/ --user anna
  troupe upload photos/ --dry-run                  say what would be sent
  troupe upload film.mkv --name holidays/film.mkv --parallel 8 --chunk 16MiB
  troupe upload film.mkv --bwlimit 2MiB            at most 2 MiB a second
  tar c photos | troupe upload - --name photos.tar
`;

export const uploadCommand: Definition = (program, act) => {
  program
    .command("upload")
    .description("upload files and folders; prints their URLs; run again, it goes on where it was broken off")
    .argument("<file...>", "files, folders, or - for stdin")
    .option("--name <name>", "the name it gets (one file or folder; may hold slashes)")
    .option("--app <label>", "the app label (default: default)")
    .option("--user <label>", "the user label (default: default)")
    .option("--parallel <count>", `chunks sent at a time, over all files (default: ${CLIENT_PARALLEL_DEFAULT})`, readParallel)
    .option("--chunk <size>", "bytes a chunk, a multiple of 64KiB up to 64MiB (default: the server's, 8MiB)", readChunk)
    .option("--bwlimit <rate>", "send at most so much a second: 2MiB, 500K, off", readBandwidth)
    .option("--checksum", "know each file's BLAKE3 before it is sent, and send only what the server does not have")
    .option("--dry-run", "say what would be sent, and send nothing")
    .option("--fresh", "begin anew what was begun before, and send what is there already as a new file")
    .option("--resume <id>", "go on with this upload of the same file, wherever it was begun")
    .addHelpText("after", EXAMPLES)
    .action(
      act<UploadOptions>(async (session, words, options) => {
        checkUsage(words, options);
        const exitCode = await (options.dryRun === true ? tellPlan : uploadAll)(session, words, options);
        if (exitCode !== EXIT.done) throw new Told(exitCode);
      }),
    );
};
