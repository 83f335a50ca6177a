/** Control characters, and the marks that turn the direction of writing around: on a terminal a name must not move the cursor or hide what follows. */
export const HARMFUL = /[\p{Cc}\p{Zl}\p{Zp}\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]/gu;
