// The answer for one feature's page: histograms, logit effects, contexts and neighbours, in the shapes of the contract.
import { corpus, vocabulary } from "./corpus.mjs";
import { FEATURES, chance, concept, explanation, f1, facts, sources } from "./features.mjs";

function logBins(values, bins) {
  const low = Math.log(Math.min(...values) * 0.999),
    high = Math.log(Math.max(...values) * 1.001);
  const edges = Array.from({ length: bins + 1 }, (_, i) => Math.exp(low + ((high - low) * i) / bins));
  const counts = new Array(bins).fill(0);
  for (const v of values) counts[Math.min(bins - 1, Math.floor(((Math.log(v) - low) / (high - low)) * bins))] += 391;
  return { edges, counts };
}

function bell(source, index) {
  const edges = Array.from({ length: 51 }, (_, i) => -3 + (6 * i) / 50);
  const shift = chance("bell", source, index) - 0.5;
  return { edges, counts: edges.slice(0, 50).map((x) => Math.round(130 * Math.exp(-2 * (x - shift) ** 2))) };
}

function contexts(source, index, keep) {
  const { rows, max } = facts(source, index);
  return rows
    .map((values, document) => {
      const top = Math.max(...values);
      return {
        document,
        start: 0,
        tokens: corpus[document],
        values,
        peak: values.indexOf(top),
        max: top,
        truth: concept(source, index)?.variable
          ? values.map((v, i) => (v > 0 ? `${concept(source, index).variable} = ${corpus[document][i].trim()}` : ""))
          : null,
      };
    })
    .filter((c) => c.max > 0 && keep(c.max / max))
    .sort((a, b) => b.max - a.max);
}

function logits(source, index) {
  const scored = vocabulary
    .map((token, id) => ({
      token,
      id,
      value: Number((4 * (chance("logit", source, index, id) - 0.5) ** 3 * 8).toFixed(3)),
    }))
    .sort((a, b) => b.value - a.value);
  return {
    with_gain: true,
    top: scored.slice(0, 10),
    bottom: scored.slice(-10).reverse(),
    histogram: bell(source, index),
    without_gain: { top: scored.slice(3, 13), bottom: scored.slice(-14, -4).reverse() },
    note: "effect of the decoder row on the logits, with the final norm's gain; whatever later layers do is left out",
  };
}

const living = (source, from, step) => {
  for (let i = from + step; i >= 0 && i < FEATURES; i += step) if (concept(source, i)) return i;
  return null;
};
const near = (source, index, among, n) =>
  Array.from({ length: n }, (_, i) => {
    const other = among[Math.floor(chance("source", source, index, i) * among.length)];
    return {
      source: other,
      index: Math.floor(chance("near", source, index, i) * FEATURES),
      cosine: Number((0.93 - i * 0.07 - 0.03 * chance("cos", index, i)).toFixed(3)),
    };
  }).map((n) => ({ ...n, explanation: explanation(n.source, n.index) }));

export function neighbours(source, index) {
  return {
    same: near(source, index, [source], 5),
    across: near(
      `x${source}`,
      index,
      sources.filter((s) => s !== source),
      8,
    ),
  };
}

export function featurePage(source, index) {
  const meant = concept(source, index);
  if (meant === undefined) return null;
  const { density, count, max, values } = facts(source, index);
  const dead = !values.length;
  const score = f1(source, index);
  const said = explanation(source, index);
  const band = (low, high) => ({
    low: low * max,
    high: high * max,
    share: values.filter((v) => v >= low * max && v < high * max).length / values.length,
    contexts: contexts(source, index, (s) => s >= low && s < high).slice(0, 4),
  });
  return {
    id: `organism/${source}/${index}`,
    model: "organism",
    source,
    site: source.split("-").slice(0, 2).join("."),
    index,
    features: FEATURES,
    density,
    count,
    max,
    dead,
    histogram: dead ? { edges: [], counts: [] } : logBins(values, 24),
    logits: logits(source, index),
    contexts: {
      top: dead ? [] : contexts(source, index, () => true).slice(0, 8),
      quantiles: dead
        ? []
        : [
            [0.8, 1.01],
            [0.6, 0.8],
            [0.4, 0.6],
            [0, 0.4],
          ]
            .map(([a, b]) => band(a, b))
            .filter((b) => b.contexts.length),
    },
    neighbours: dead ? { same: [], across: [] } : neighbours(source, index),
    correlated: {
      exact: true,
      error_bound: null,
      features: dead
        ? []
        : near(`c${source}`, index, [source], 5).map(({ index, cosine }) => ({ index, pearson: cosine })),
    },
    heads: source.includes("-att-")
      ? [0, 1, 2, 3].map((head) => ({ head, share: [0.52, 0.27, 0.13, 0.08][(head + index) % 4] }))
      : null,
    explanations:
      said && !dead
        ? [
            {
              text: said,
              author: "lapidary",
              method: "rule inducer",
              score: score ?? Number((0.4 + 0.5 * chance("s", index)).toFixed(3)),
              score_name: "F1",
              how_measured: "on 12,000 held-out tokens that the rule was not induced from",
            },
          ]
        : [],
    truth:
      score && !dead
        ? {
            variable: meant.variable,
            f1: score,
            precision: Math.min(1, score * 1.07),
            recall: score * 0.94,
            phrase: meant.phrase,
          }
        : null,
    previous: living(source, index, -1),
    next: living(source, index, 1),
  };
}
