import { describe, expect, it } from "vitest";
import { ERRORS, isErrorCode, isRetryable, RETRY, TroupeError, toTroupeError } from "../../src/core/errors.ts";

describe("the table of errors", () => {
  it("gives each code an HTTP status, a bus code, how to retry and one sentence", () => {
    for (const [code, row] of Object.entries(ERRORS)) {
      expect(code).toMatch(/^[A-Z][A-Z_]*$/);
      expect(row.http, code).toBeGreaterThanOrEqual(400);
      expect(row.http, code).toBeLessThan(600);
      expect(row.nats, code).toBeGreaterThan(0);
      expect(Object.values(RETRY), code).toContain(row.retry);
      expect(row.sentence, code).toMatch(/^[A-Za-z0-9'].{10,}[.]$/);
    }
  });

  it("knows its own codes and nothing every object has", () => {
    expect(isErrorCode("BUSY")).toBe(true);
    for (const text of ["", "busy", "toString", "constructor", "__proto__", "hasOwnProperty"]) expect(isErrorCode(text)).toBe(false);
  });
});

describe("TroupeError", () => {
  it("has its code's sentence unless it is given a detail, and keeps its cause and facts", () => {
    expect(new TroupeError("BUSY").detail).toBe(ERRORS.BUSY.sentence);
    const cause = new Error("beneath");
    const error = new TroupeError("UPLOAD_INCOMPLETE", "two are missing", { cause, facts: { missing: [[0, 1]] } });
    expect(error).toMatchObject({
      name: "TroupeError",
      code: "UPLOAD_INCOMPLETE",
      detail: "two are missing",
      message: "UPLOAD_INCOMPLETE: two are missing",
      cause,
      facts: { missing: [[0, 1]] },
      status: 409,
      retry: "changed",
    });
    expect("cause" in new TroupeError("BUSY")).toBe(false);
  });

  it("is worth another attempt only where the table says so", () => {
    expect(isRetryable(new TroupeError("UNAVAILABLE"))).toBe(true);
    expect(isRetryable(new TroupeError("FORBIDDEN"))).toBe(false);
    expect(isRetryable(new TroupeError("BAD_NAME"))).toBe(false);
    expect(isRetryable(new Error("UNAVAILABLE"))).toBe(false);
    expect(isRetryable(undefined)).toBe(false);
  });

  it("is made of anything thrown, without losing it", () => {
    const own = new TroupeError("BUSY");
    expect(toTroupeError(own)).toBe(own);
    for (const thrown of [new TypeError("x"), "text", null, 5])
      expect(toTroupeError(thrown)).toMatchObject({ code: "INTERNAL", cause: thrown });
    expect(toTroupeError(new Error("x"), "DATABASE_UNAVAILABLE").code).toBe("DATABASE_UNAVAILABLE");
  });
});
