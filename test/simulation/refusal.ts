/** A command that cannot be carried out as it was given: the message says why, and what to do. */
export class Refusal extends Error {}
