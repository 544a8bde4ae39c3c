// What is read off a microscope's answer: an order of features, one feature's values, the strength of every token.
import type { Firing, Microscope } from "../api";

export type Rank = "strength" | "rarity";
export interface Named {
  source: string;
  index: number;
}
export interface Ranked extends Named {
  explanation: string | null;
  density: number;
  value: number;
  tokens: number[];
}

const by: Record<Rank, (a: { value: number; density: number }, b: { value: number; density: number }) => number> = {
  strength: (a, b) => b.value - a.value || a.density - b.density,
  rarity: (a, b) => a.density - b.density || b.value - a.value,
};

/** The same answer with every list ranked. */
export const order = (seen: Microscope, rank: Rank): Microscope => ({
  ...seen,
  sources: seen.sources.map((s) => ({ ...s, tokens: s.tokens.map((list) => [...list].sort(by[rank])) })),
});

const at = (list: Firing[] | undefined, index: number) => list?.find((f) => f.index === index)?.value ?? 0;

/** One feature's value on each token, as far as it is among the strongest there. */
export function valuesOf(seen: Microscope, { source, index }: Named): number[] {
  const found = seen.sources.find((s) => s.source === source);
  return seen.tokens.map((_, i) => at(found?.tokens[i], index));
}

/**
 * The strongest firing of each token, in units of the strongest of its dictionary in this text, on the average of all
 * dictionaries. Special tokens count nothing.
 */
export function strengths(seen: Microscope): number[] {
  const tops = seen.sources.map((s) =>
    s.tokens.map((list, i) => (seen.special[i] ? 0 : Math.max(0, ...list.map((f) => f.value)))),
  );
  const most = tops.map((t) => Math.max(...t) || 1);
  return seen.tokens.map((_, i) => tops.reduce((sum, t, s) => sum + (t[i] ?? 0) / most[s]!, 0) / (tops.length || 1));
}

/** The features of one dictionary over the whole text, each once, with the tokens on which it fires. */
export function overText(seen: Microscope, source: string, rank: Rank): Ranked[] {
  const all = new Map<number, Ranked>();
  const tokens = seen.sources.find((s) => s.source === source)?.tokens ?? [];
  tokens.forEach((list, i) =>
    list.forEach(({ index, value, density, explanation }) => {
      const known = all.get(index) ?? { source, index, explanation, density, value: 0, tokens: [] };
      known.value = Math.max(known.value, value);
      known.tokens.push(i);
      all.set(index, known);
    }),
  );
  return [...all.values()].sort(by[rank]);
}
