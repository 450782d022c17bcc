/** `1 name`, `2 names`; `1 try`, `2 tries`: for what people read. */
export function counted(count: number, what: string, several = `${what}s`): string {
  return `${count} ${count === 1 ? what : several}`;
}
