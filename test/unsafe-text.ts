/** What no output may hold as it is: characters that act, turn text around, hide, or pile up over the lines around. */
export const UNSAFE =
  /[\p{C}\p{Default_Ignorable_Code_Point}\u2800\u{1d159}]|(?! )\p{Z}|\p{M}{4}|(?:^|[^\p{L}\p{N}\p{M}])\p{M}/u;
