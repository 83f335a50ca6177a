/** `troupe config print`: the settings a server started here would have, and where each comes from. */
import { addServerOptions } from "../../config/server-command.ts";
import { resolveSettings } from "../../config/settings.ts";
import { TroupeError } from "../../core/errors.ts";
import { EXIT } from "../exit-code.ts";
import type { Definition } from "../session.ts";
import { table } from "../table.ts";
import { Told } from "../told.ts";

const EXAMPLES = `
It reads the same flags, environment and configuration file as 'npm start'. Secrets are not shown.

Examples:
  troupe config print
  troupe config print --config /etc/troupe.json --port 9000
`;

export const configCommand: Definition = (program, act) => {
  const config = program.command("config").description("look at a server's settings");
  const print = config.command("print").description("print the settings in effect, and where each was set").addHelpText("after", EXAMPLES);
  // --token is an option of every command and is taken from there.
  addServerOptions(print, "this machine", ["token"]);
  print.action(
    act<Record<string, string | string[]>>(async ({ context, json }, _, options) => {
      const { machine, terminal, environment, workingDirectory } = context;
      const given = program.opts<{ token?: string }>().token;
      const flags = given === undefined ? options : { ...options, token: given };
      try {
        const { reports, warnings, configFile } = resolveSettings({
          flags,
          environment,
          workingDirectory,
          hostname: machine.hostname,
          readFile: machine.readFile,
        });
        for (const warning of warnings) terminal.err(`${warning}\n`);
        if (json) terminal.out(`${JSON.stringify({ configFile: configFile ?? null, settings: reports })}\n`);
        else
          terminal.out(
            table(
              [{ title: "SETTING" }, { title: "VALUE" }, { title: "FROM" }],
              reports.map(({ flag, value, from }) => [flag, value, from]),
            ),
          );
      } catch (error) {
        if (json || !(error instanceof TroupeError) || error.code !== "SETTING_INVALID") throw error;
        for (const problem of error.facts["problems"] as readonly string[]) terminal.err(`${problem}\n`);
        throw new Told(EXIT.usage);
      }
    }),
  );
};
