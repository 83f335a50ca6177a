import fc from "fast-check";
import { test } from "vitest";
import { contentDisposition } from "../../src/gateway/content-disposition.ts";
import { anyText } from "../support/any-text.ts";

const FIELD =
  /^(?:inline|attachment); filename="([\x20-\x21\x23-\x5b\x5d-\x7e]*)"(?:; filename\*=UTF-8''((?:[A-Za-z0-9!#$&+.^_`|~-]|%[0-9A-F]{2})*))?$/;

test("I11: any name gives one well-formed field from which the name is read back", () => {
  fc.assert(
    fc.property(anyText({ minLength: 1, maxLength: 80 }), (name) => {
      const [, plain, extended] = FIELD.exec(contentDisposition("attachment", name)) ?? [];
      return (extended === undefined ? plain : decodeURIComponent(extended)) === name.slice(name.lastIndexOf("/") + 1);
    }),
  );
});
