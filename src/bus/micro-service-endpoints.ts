/**
 * The endpoints of a micro service, from contracts: what `INFO` tells of them, and what `STATS` counts.
 *
 * E1: subject and queue group are those that hosts subscribe.
 * E2: a schema forbids no further fields: a later version adds some, and what a schema does not name is dropped.
 */
import { z } from "zod";
import { checkIdentity } from "../core/identity.ts";
import type { Contract, RequestDefinition, SubjectIdentity } from "./contract.ts";
import type { RequestBook } from "./request-book.ts";

/** A contract that the role answers. */
export interface ServicePart {
  readonly contract: Contract;
  /** Values for the `{placeholders}` of its subject. One that is absent stands for many and is shown as `*`. */
  readonly identity?: SubjectIdentity;
}

/** As it stands in an answer (ADR-32). */
interface EndpointInfo {
  readonly name: string;
  readonly subject: string;
  /** Empty: every one that listens answers. */
  readonly queue_group: string;
  readonly metadata: Readonly<Record<string, string>>;
}

export interface Endpoint {
  readonly info: EndpointInfo;
  readonly verb: string;
  readonly book: RequestBook;
}

/** @throws {TroupeError} `BAD_IDENTITY` */
export function endpointsOf(service: string, part: ServicePart, book: RequestBook): Endpoint[] {
  const { contract } = part;
  const subject = subjectPattern(contract, part.identity ?? {});
  return Object.entries(contract.requests).map(([verb, definition]) => ({
    verb,
    book,
    info: {
      name: contract.name === service ? verb : `${contract.name}-${verb}`,
      subject: `${subject}.${verb}`,
      queue_group: definition.to === "one" ? contract.name : "",
      metadata: metadataOf(definition),
    },
  }));
}

/** @returns the endpoint as `STATS` shows it; times in nanoseconds */
export function endpointStatistics({ info, verb, book }: Endpoint): object {
  const { requests, errors, lastError, processingMs } = book.read(verb);
  const nanoseconds = Math.round(processingMs * 1e6);
  return {
    name: info.name,
    subject: info.subject,
    queue_group: info.queue_group,
    num_requests: requests,
    num_errors: errors,
    last_error: lastError,
    processing_time: nanoseconds,
    average_processing_time: requests === 0 ? 0 : Math.trunc(nanoseconds / requests),
  };
}

function subjectPattern(contract: Contract, identity: SubjectIdentity): string {
  return contract.subject.replaceAll(/\{(\w+)\}/g, (_, key: string) => (key in identity ? checkIdentity(identity[key], key) : "*"));
}

/** Made once for a contract's request: the schemas take some milliseconds, and every life of a process tells them. */
const METADATA = new WeakMap<RequestDefinition, Readonly<Record<string, string>>>();

/** Values are texts: schemas as JSON, errors without those that any request may be answered with. */
function metadataOf(definition: RequestDefinition): Readonly<Record<string, string>> {
  const known = METADATA.get(definition);
  if (known !== undefined) return known;
  const metadata = {
    doc: definition.doc,
    readOnly: String(definition.readOnly),
    audience: definition.to,
    input: schemaText(definition.input, "input"),
    output: schemaText(definition.output, "output"),
    errors: definition.errors.join(","),
  };
  METADATA.set(definition, metadata);
  return metadata;
}

function schemaText(type: z.ZodType, io: "input" | "output"): string {
  const schema = z.toJSONSchema(type, {
    io,
    target: "draft-2020-12",
    override: ({ jsonSchema }) => {
      if (jsonSchema.additionalProperties === false) delete jsonSchema.additionalProperties;
    },
  });
  return JSON.stringify(schema);
}
