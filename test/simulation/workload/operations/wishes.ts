/** What operations draw: contents, names and labels. */
import type { FaultValue } from "../../fault.ts";
import type { RandomStream } from "../../random-streams.ts";

type Drawn = Readonly<Record<string, FaultValue>>;

const KIB = 1024;
export const CHUNK_BYTES = 64 * KIB;

/** Contents that several have, each always of the same size. */
const POPULAR_COUNT = 10;
const FOLDERS = ["", "films/", "music/2026/", "ä b/c/"];
const STEMS = ["one.bin", "two.mp4", "three.txt", "four"];
const USERS = ["default", "ann", "ben"];

/** A content, mostly of its own. */
export function drawContent(random: RandomStream): Drawn {
  if (random.chance(0.25)) return drawPopular(random);
  return { content: 1_000 + random.integer(2 ** 31), size: drawSize(random) };
}

/** A content that somebody else may have as well. */
export function drawPopular(random: RandomStream): Drawn {
  const content = random.integer(POPULAR_COUNT);
  return { content, size: 1 + ((content * 39_119 + 70_001) % (300 * KIB)) };
}

/** From nothing to 400 KiB, often at the borders of chunks; sometimes up to 3 MiB. */
function drawSize(random: RandomStream): number {
  const way = random.integer(20);
  if (way === 0) return 0;
  if (way === 1) return random.integer(4);
  if (way === 2) return 1024 * KIB + random.integer(2048 * KIB);
  if (way < 8) return Math.max(0, CHUNK_BYTES * (1 + random.integer(5)) + random.integer(3) - 1);
  return random.integer(400 * KIB);
}

/** One of few names, so that files share them. */
export function drawName(random: RandomStream): Drawn {
  return { name: random.pick(FOLDERS) + random.pick(STEMS), user: random.pick(USERS) };
}

export function drawFolder(random: RandomStream): Drawn {
  return { prefix: random.pick(FOLDERS), user: random.pick(USERS) };
}

/** Which of the things that are there then: see `chosen`. */
export function drawChoice(random: RandomStream): Drawn {
  return { choice: random.integer(2 ** 20) };
}
