/** `troupe doctor`: looks at this machine and the server, and says what to do about what it finds. */
import type { Finding } from "../doctor/finding.ts";
import { checkGateway } from "../doctor/gateway.ts";
import { checkClock, checkDataDirectory, checkNode, checkOpenFiles, checkPort, checkSettings } from "../doctor/machine.ts";
import { EXIT } from "../exit-code.ts";
import type { Definition } from "../session.ts";
import { printable } from "../table.ts";
import { Told } from "../told.ts";

const EXAMPLES = `
Each line is ok, warn or fail. Ends with 1 when anything fails.

Examples:
  troupe doctor
  troupe doctor --data /srv/troupe --port 9000
  troupe --gateway http://nas:8080 --token alice:… doctor --json
`;

export const doctorCommand: Definition = (program, act) => {
  program
    .command("doctor")
    .description("check this machine, the data directory and the server")
    .option("--data <directory>", "the data directory of the server")
    .option("--host <address>", "the address the server is to listen on")
    .option("--port <number>", "the port the server is to listen on")
    .option("--config <file>", "the server's configuration file")
    .addHelpText("after", EXAMPLES)
    .action(
      act<Record<string, string>>(async (session, _, flags) => {
        const { context, json } = session;
        const findings: Finding[] = [];
        const tell = (finding: Finding): void => {
          findings.push(finding);
          // Each as it is known: some take a moment.
          if (!json) context.terminal.out(`${finding.verdict.padEnd(4)}  ${finding.check.padEnd(9)}  ${printable(finding.sentence)}\n`);
        };
        tell(checkNode(context.machine));
        tell(checkOpenFiles(context.machine));
        const { finding, settings } = checkSettings(context, flags);
        tell(finding);
        if (settings !== undefined) {
          tell(await checkDataDirectory(context, settings.dataDirectory));
          tell(await checkPort(context, settings));
        }
        const { findings: ofGateway, dateMs } = await checkGateway(session);
        ofGateway.forEach(tell);
        tell(checkClock(context, dateMs));
        const isHealthy = findings.every(({ verdict }) => verdict !== "fail");
        if (json) context.terminal.out(`${JSON.stringify({ healthy: isHealthy, findings })}\n`);
        if (!isHealthy) throw new Told(EXIT.failed);
      }),
    );
};
