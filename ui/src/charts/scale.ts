// From data to pixels: linear and logarithmic scales with round ticks.

export interface Scale {
  (x: number): number;
  ticks: number[];
  domain: [number, number];
}

/** Round numbers, about `n` of them, from low to high. */
export function linearTicks(low: number, high: number, n: number): number[] {
  const rough = (high - low) / n,
    power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((m) => m * power).find((s) => s >= rough * 0.999)!;
  const first = Math.ceil(low / step - 1e-9);
  return Array.from({ length: Math.max(0, Math.floor(high / step + 1e-9) - first + 1) }, (_, i) =>
    Number(((first + i) * step).toPrecision(12)),
  );
}

/** Round numbers on a logarithmic axis, about `n`: powers of ten and multiples of them as fine as there is room for. */
export function logTicks(low: number, high: number, n: number): number[] {
  const powers = Array.from(
    { length: Math.ceil(Math.log10(high)) - Math.floor(Math.log10(low)) + 1 },
    (_, i) => 10 ** (Math.floor(Math.log10(low)) + i),
  );
  const within = (mantissas: number[]) =>
    powers
      .flatMap((p) => mantissas.map((m) => Number((m * p).toPrecision(6))))
      .filter((x) => x >= low * 0.999 && x <= high * 1.001);
  const coarse = within([1]),
    stride = Math.ceil(coarse.length / n);
  if (stride > 1) return coarse.filter((_, i) => i % stride === 0);
  const finest = [[1, 1.5, 2, 3, 4, 5, 6, 7, 8, 9], [1, 2, 3, 5], [1, 2, 5], [1, 3], [1]]
    .map(within)
    .find((ticks) => ticks.length <= n)!;
  return finest.length > 2 ? finest : linearTicks(low, high, n);
}

export function linear(domain: [number, number], range: [number, number], n = 5): Scale {
  const [low, high] = domain[0] === domain[1] ? [domain[0] - 0.5, domain[1] + 0.5] : domain;
  const f = (x: number) => range[0] + ((x - low) / (high - low)) * (range[1] - range[0]);
  return Object.assign(f, { ticks: linearTicks(low, high, n), domain: [low, high] as [number, number] });
}

export function log(domain: [number, number], range: [number, number], n = 5): Scale {
  const [low, high] = domain[0] === domain[1] ? [domain[0] / 1.5, domain[1] * 1.5] : domain;
  const f = (x: number) => range[0] + (Math.log(x / low) / Math.log(high / low)) * (range[1] - range[0]);
  return Object.assign(f, { ticks: logTicks(low, high, n), domain: [low, high] as [number, number] });
}

/** The least and greatest of finite numbers, null where there is none. */
export function extent(values: (number | null | undefined)[]): [number, number] | null {
  const finite = values.filter((v): v is number => Number.isFinite(v));
  return finite.length ? [Math.min(...finite), Math.max(...finite)] : null;
}
