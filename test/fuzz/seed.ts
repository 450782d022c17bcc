/** Of the random input of `npm test`: whether a commit is good must not depend on the day. */
export const SEED = 20_261_127;
