// The routes of the contract over the mock's features; the streamed ones are in stream.mjs.
import { tokenize } from "./corpus.mjs";
import {
  FEATURES,
  activations,
  candidates,
  chance,
  concept,
  dictionaries,
  explanation,
  facts,
  sources,
  summary,
  topToken,
} from "./features.mjs";
import { featurePage, neighbours } from "./page.mjs";

export class Refused extends Error {
  constructor(status, message, hint) {
    super(message);
    Object.assign(this, { status, hint });
  }
}
const known = (source) => {
  if (!sources.includes(source))
    throw new Refused(404, `no dictionary ${source}`, `one of ${sources.slice(0, 3).join(", ")}, …`);
  return source;
};
const number = (query, name, fallback) =>
  query.has(name) && query.get(name) !== "" ? Number(query.get(name)) : fallback;

export function suite() {
  return {
    name: "organism-suite (mock)",
    description:
      "JumpReLU dictionaries at every site of the organism, a small Gemma 2 that learned a language of known grammar.",
    model: { id: "organism", name: "organism", layers: 6, width: 128, heads: 4, vocab: 1258, loaded: true },
    text: {
      name: "world, seed 2, held out",
      documents: 11959,
      tokens: 1_430_208,
      special_tokens_policy: "BOS is read by the model and left out of every count",
    },
    has_truth: true,
    scores: [
      { key: "fvu", label: "FVU", unit: "", better: "lower" },
      { key: "delta_loss", label: "Δloss", unit: "nats/token", better: "lower" },
      { key: "l0", label: "L0", unit: "features/row", better: "none" },
      { key: "loss_recovered", label: "loss recovered", unit: "", better: "higher" },
      { key: "dead_fraction", label: "dead", unit: "", better: "lower" },
      { key: "f1", label: "mean F1", unit: "", better: "higher" },
    ],
    dictionaries,
    notes: [
      "Scores are those of 400 held-out documents; intervals are 95 % by bootstrap over documents.",
      "This is mock data for the development of the app.",
    ],
  };
}

export function features(source, query) {
  known(source);
  const sort = query.get("sort") ?? "index",
    sign = query.get("order") === "asc" ? 1 : -1;
  let rows = Array.from({ length: FEATURES }, (_, i) => summary(source, i));
  if (query.get("alive") === "true") rows = rows.filter((r) => r.max > 0);
  const [low, high, least] = [
    number(query, "min_density", 0),
    number(query, "max_density", 1),
    number(query, "min_max", 0),
  ];
  rows = rows.filter((r) => r.density >= low && r.density <= high && r.max >= least);
  rows.sort((a, b) => sign * ((a[sort] ?? -1) - (b[sort] ?? -1)) || a.index - b.index);
  const offset = number(query, "offset", 0);
  return { source, total: rows.length, offset, features: rows.slice(offset, offset + number(query, "limit", 50)) };
}

export function feature(source, index) {
  const page = featurePage(known(source), Number(index));
  if (!page) throw new Refused(404, `${source} has no feature ${index}`, `its features are 0 to ${FEATURES - 1}`);
  return page;
}

let draws = 0;
export function random(query) {
  const source = query.get("source") || sources[Math.floor(chance("random", draws) * sources.length)];
  for (;;) {
    const index = Math.floor(chance("index", draws++) * FEATURES);
    if (concept(known(source), index)) return { source, index };
  }
}

const prepare = (text) => {
  if (typeof text !== "string" || !text.trim()) throw new Refused(400, "the text is empty", "type some words");
  if (text.length > 8192) throw new Refused(413, "the text is longer than 8,192 characters", "shorten it");
  const tokens = ["<bos>", ...tokenize(text)];
  return { tokens, special: tokens.map((_, i) => i === 0) };
};

export function microscope({ text, source, index, features_per_token = 5, hide_dense_above = 1 }) {
  const { tokens, special } = prepare(text);
  if (index !== undefined) return { tokens, special, values: activations(known(source), index, tokens) };
  const of = (source) => ({
    source,
    site: source.split("-").slice(0, 2).join("."),
    tokens: tokens.map((token, i) =>
      candidates(source, token)
        .map((index) => ({
          index,
          value: activations(source, index, tokens)[i],
          density: facts(source, index).density,
          explanation: explanation(source, index),
        }))
        .filter((f) => f.value > 0 && f.density <= hide_dense_above)
        .sort((a, b) => b.value - a.value)
        .slice(0, features_per_token),
    ),
  });
  return { tokens, special, sources: (source ? [known(source)] : sources).map(of) };
}

export function search(query) {
  const q = (query.get("q") ?? "").toLowerCase().trim(),
    kind = query.get("kind") ?? "explanation",
    only = query.get("source");
  if (!/[\p{L}\p{N}]/u.test(q))
    return { query: q, total: 0, note: "nothing to search for: type letters or digits", results: [] };
  const hit = (source, index) => {
    const text =
      kind === "token" ? topToken(source, index)?.trim().toLowerCase() : explanation(source, index)?.toLowerCase();
    return kind === "token" ? text === q : text?.includes(q);
  };
  const all = (only ? [known(only)] : sources).flatMap((source) =>
    Array.from({ length: FEATURES }, (_, i) => i)
      .filter((i) => hit(source, i))
      .map((index) => ({
        source,
        ...summary(source, index),
        why: kind === "token" ? "its strongest token" : "its explanation",
        score: kind === "token" ? null : ((index * 37) % 100) / 100,
        score_name: kind === "token" ? "" : "F1",
      })),
  );
  const kept = all.filter(
    (h) =>
      h.density <= number(query, "max_density", 1) &&
      h.max >= number(query, "min_max", 0) &&
      (h.score ?? 1) >= number(query, "min_score", 0),
  );
  const key = query.get("sort");
  if (key) kept.sort((a, b) => (b[key] ?? -1) - (a[key] ?? -1));
  const why = all.length
    ? `the filters hide all of the ${all.length} features that were found`
    : "no explanation in this atlas has these words";
  const offset = number(query, "offset", 0);
  return {
    query: q,
    total: kept.length,
    note: kept.length ? null : why,
    results: kept.slice(offset, offset + number(query, "limit", 50)),
  };
}

export function searchText({ text, sources: among, sort_token, max_density = 1, limit = 50 }) {
  const { tokens } = prepare(text);
  const results = (among?.length ? among : sources)
    .flatMap((source) =>
      [...new Set(tokens.flatMap((t) => candidates(known(source), t)))].map((index) => {
        const values = activations(source, index, tokens);
        return {
          source,
          index,
          values,
          max: Math.max(...values),
          explanation: explanation(source, index),
          density: facts(source, index).density,
        };
      }),
    )
    .filter((r) => r.max > 0 && r.density <= max_density);
  const key = (r) => (sort_token === undefined ? r.max : r.values[sort_token]);
  return {
    tokens,
    results: results
      .filter((r) => key(r) > 0)
      .sort((a, b) => key(b) - key(a))
      .slice(0, limit),
  };
}

export const similar = ({ source, index, limit = 20 }) => {
  feature(source, index);
  const { same, across } = neighbours(source, index);
  return { results: [...same, ...across].sort((a, b) => b.cosine - a.cosine).slice(0, limit) };
};

export const plots = () => ({
  pareto: dictionaries.map(({ source, site, scores: { l0, fvu, delta_loss }, intervals }) => ({
    source,
    site,
    l0,
    l0_ci: intervals.l0,
    fvu,
    fvu_ci: intervals.fvu,
    delta_loss,
    delta_loss_ci: intervals.delta_loss,
  })),
  notes: ["Whiskers are 95 % intervals by bootstrap over documents."],
});
