import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { FILE_SHARD_COUNT, fileTable, userShard } from "../../src/core/user-shard.ts";
import { anyText } from "../support/any-text.ts";

describe("a user's shard", () => {
  it("is the one of the streaming server document", () => {
    expect(fileTable(userShard("tnv001"))).toBe("t_file_02");
    expect(fileTable(userShard("tnv002"))).toBe("t_file_03");
    expect(fileTable(userShard("tnv003"))).toBe("t_file_01");
    expect(fileTable(userShard("admin"))).toBe("t_file_01");
  });

  it("is one of the tables, for any user and any number of tables", () => {
    fc.assert(
      fc.property(anyText(), fc.integer({ min: 1, max: 99 }), (user, shardCount) => {
        const shard = userShard(user, shardCount);
        return Number.isInteger(shard) && shard >= 1 && shard <= shardCount && shard === userShard(user, shardCount);
      }),
    );
  });

  it("spreads users over all tables", () => {
    const counts = new Map<number, number>();
    for (let index = 0; index < 3000; index += 1) counts.set(userShard(`user${index}`), (counts.get(userShard(`user${index}`)) ?? 0) + 1);
    expect(counts.size).toBe(FILE_SHARD_COUNT);
    for (const count of counts.values()) expect(count).toBeGreaterThan(600);
  });

  it("table names have two digits", () => {
    expect(fileTable(1)).toBe("t_file_01");
    expect(fileTable(12)).toBe("t_file_12");
  });
});
