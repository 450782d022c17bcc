/** Where the files of a tar are. */

export interface Place {
  readonly name: string;
  /** In bytes of the tar before compression. */
  readonly offset: number;
  readonly size: number;
}

export class Places {
  /** In the order of the tar. */
  readonly all: readonly Place[];
  readonly #numbers: ReadonlyMap<string, number>;

  /** In the order of the tar. */
  constructor(all: readonly Place[]) {
    this.all = all;
    this.#numbers = new Map(all.map(({ name }, number) => [name, number]));
  }

  numberOf({ name }: Place): number {
    return this.#numbers.get(name) ?? -1;
  }

  /** In the order of the tar; of a few names it does not take a walk through all files. */
  of(names: ReadonlySet<string>): readonly Place[] {
    const numbers = [...names].flatMap((name) => this.#numbers.get(name) ?? []);
    return numbers.sort((a, b) => a - b).map((number) => this.all[number] as Place);
  }
}
