/** Figures and columns of plain text. A figure that is not there is a dash. */

/** Words to the left, figures to the right; `words` is how many columns are words. */
export function align(rows: readonly (readonly string[])[], words: number): string[] {
  const widths = rows[0]?.map((_, column) => Math.max(...rows.map((row) => row[column]?.length ?? 0))) ?? [];
  return rows.map((row) => {
    const cells = row.map((cell, column) => {
      const width = widths[column] ?? 0;
      return column < words ? cell.padEnd(width) : cell.padStart(width);
    });
    return `  ${cells.join('  ')}`.trimEnd();
  });
}

export function tenths(value: number): string {
  return fixed(value, 1);
}

export function hundredths(value: number): string {
  return fixed(value, 2);
}

export function kilobytes(bytes: number): string {
  return fixed(bytes / 1e3, 1);
}

export function megabytes(bytes: number): string {
  return fixed(bytes / 1e6, bytes < 1e6 ? 4 : bytes < 10e6 ? 2 : 0);
}

export function megabits(bytes: number): string {
  return fixed((bytes * 8) / 1e6, 1);
}

export function percent(share: number): string {
  return `${fixed(share * 100, 1)} %`;
}

function fixed(value: number, digits: number): string {
  return Number.isNaN(value) || value === 0 ? '–' : value.toFixed(digits);
}
