/** Errors as answers. */
import { expect, it } from "vitest";
import { type ErrorCode, TroupeError } from "../../src/core/errors.ts";
import { problemResponse } from "../../src/core/problem.ts";

it("says when to come back: after a moment, after a server can have started again, or when the error says", () => {
  const after = (code: ErrorCode, facts = {}) => problemResponse(new TroupeError(code, undefined, { facts })).headers["retry-after"];
  expect(after("BUSY")).toBe("1");
  expect(after("DATABASE_UNAVAILABLE")).toBe("3");
  expect(after("BUS_UNAVAILABLE")).toBe("3");
  expect(after("TOO_MANY", { retryAfterMs: 4_100 })).toBe("5");
  expect(after("FILE_NOT_FOUND")).toBeUndefined();
});
