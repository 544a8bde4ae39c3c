// Numbers as a reader of the field expects them: three significant digits, per cent for shares, thin groups for counts.

const grouped = new Intl.NumberFormat("en-GB");

export const count = (n: number) => grouped.format(n);

/** Three significant digits; 0.0000046 becomes 4.6e−6. */
export function number(x: number | null | undefined, digits = 3): string {
  if (x === null || x === undefined || !Number.isFinite(x)) return "–";
  const size = Math.abs(x);
  if (size !== 0 && (size < 1e-3 || size >= 1e6))
    return x
      .toExponential(digits - 1)
      .replace(/\.?0+e/, "e")
      .replace("e+", "e")
      .replace(/-/g, "−");
  if (size >= 1000) return grouped.format(Math.round(x));
  return x.toPrecision(digits).replace("-", "−");
}

/** A score of a dictionary: a whole number where it counts features. */
export const score = (x: number | null | undefined, unit: string) =>
  unit === "features" && x != null ? count(x) : number(x);

/** A share in per cent. */
export function percent(x: number | null | undefined): string {
  if (x === null || x === undefined || !Number.isFinite(x)) return "–";
  const p = 100 * x;
  if (p === 0) return "0 %";
  if (p < 1e-4) return `${p.toExponential(1).replace("-", "−")} %`;
  return `${p >= 99.95 ? Math.round(p) : p.toPrecision(p >= 10 ? 3 : 2)} %`;
}

/** With its sign. */
export const signed = (x: number) => (x > 0 ? "+" : "") + number(x);

/** How a token is shown alone: its space, its line break, or nothing at all must be seen. */
export function visible(token: string | null | undefined): string {
  if (token === null || token === undefined) return "";
  if (token === "") return "∅";
  return token
    .replace(/^ +| +$/g, (spaces) => "·".repeat(spaces.length))
    .replace(/\n/g, "↵")
    .replace(/\t/g, "⇥");
}
