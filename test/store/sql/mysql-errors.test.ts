import { expect, test } from "vitest";
import { isBusy, isLost, mysqlError } from "../../../src/store/sql/mysql-errors.ts";

const answered = (errno: number, sqlState: string) => mysqlError({ errno, sqlState, message: "words" }, "SELECT 1", "host:3306");

test("what a server answers, and what only a broken connection says, become codes and facts", () => {
  expect(isBusy(answered(1213, "40001"))).toBe(true);
  expect(isBusy(answered(1205, "HY000"))).toBe(true);
  expect(answered(1114, "HY000").code).toBe("DISK_FULL");
  expect(answered(1064, "42000").code).toBe("INTERNAL");
  expect(answered(1406, "22001").code).toBe("INTERNAL");
  for (const [errno, sqlState] of [
    [1290, "HY000"],
    [1836, "HY000"],
    [1036, "HY000"],
  ] as const) {
    expect(answered(errno, sqlState)).toMatchObject({ code: "DATABASE_UNAVAILABLE", facts: {} });
    expect(answered(errno, sqlState).detail).toContain("The database refuses to write (it is read-only)");
  }
  for (const errno of [1146, 1932]) {
    expect(answered(errno, "42S02")).toMatchObject({ code: "DATABASE_UNAVAILABLE", facts: {} });
    expect(answered(errno, "42S02").detail).toContain("The database lacks a table; was it restored or changed by hand?");
  }
  expect(answered(1048, "23000").facts).toEqual({ constraint: "not-null" });
  for (const errno of [1040, 1053, 1927]) expect(isLost(answered(errno, "HY000"))).toBe(true);
  for (const error of [{ code: "ECONNREFUSED", errno: -111 }, { code: "PROTOCOL_CONNECTION_LOST", fatal: true }, new Error("closed")]) {
    const typed = mysqlError(error, "SELECT 1", "host:3306");
    expect(isLost(typed)).toBe(true);
    expect(typed.detail).toContain("host:3306");
  }
  expect(mysqlError(new TypeError("a value"), "SELECT 1", "host:3306").code).toBe("INTERNAL");
});
