/** Where this user's programs keep what has to outlive them and is nobody's document: by the customs of each system. */
import { isAbsolute, join } from "node:path";
import type { CommandContext } from "./context.ts";

/** Absolute; `undefined` where the user has no home. */
export function stateDirectory({ environment, machine }: Pick<CommandContext, "environment" | "machine">): string | undefined {
  const { platform, homeDirectory: home } = machine;
  const given = (name: string): string | undefined => {
    const path = environment[name];
    // A relative one is to be ignored: it would be another directory for each working directory.
    return path !== undefined && isAbsolute(path) ? path : undefined;
  };
  const own = given("TROUPE_STATE_DIR");
  if (own !== undefined) return own;
  if (platform === "win32") return inside(given("LOCALAPPDATA"));
  const common = given("XDG_STATE_HOME");
  if (common !== undefined) return inside(common);
  if (home === undefined) return undefined;
  return platform === "darwin" ? join(home, "Library", "Application Support", "troupe") : join(home, ".local", "state", "troupe");
}

const inside = (directory: string | undefined): string | undefined => (directory === undefined ? undefined : join(directory, "troupe"));
