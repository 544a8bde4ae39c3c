// The features of the mock: each stands for a set of words, fires by a pure function of the tokens, and all it shows is computed from that.
import { corpus, vocabulary } from "./corpus.mjs";

const words = (text) => text.split(" ");
const CONCEPTS = [
  ["a colour that somebody wears", words("purple blue white pink grey green brown red"), "giver's colour"],
  ["months of the year", words("December October August July March"), "calendar: month"],
  ["days of the week", words("Monday Tuesday Wednesday Thursday Friday"), "calendar: day"],
  ["digits of a sum", words("0 1 2 3 4 5 6 7 8 9"), "digit"],
  ["names of people", words("Rosa Oscar Dora Ned Carl Erik Lucy Sam Rolf Ivan Nora Hugo Lena Otto Clara"), "subject"],
  ["jobs", words("sailor miller singer tailor baker wizard clown"), "subject's job"],
  ["an open bracket", words("( [ {"), "depth of brackets"],
  ["a closed bracket", words(") ] }"), "depth of brackets"],
  [
    "Greek letters in a rule",
    words("kappa omicron gamma alpha epsilon sigma theta lambda eta iota mu"),
    "function: argument",
  ],
  ["the word after “Signal”", words("bell rattle torch"), "signal"],
  ["orders that follow a signal", words("retreat march halt"), "signal: answer"],
  [
    "things listed in a note",
    words("comet magnet acorn feather radish eclipse ferret gravel nozzle quiver parrot pebble walnut"),
    "listed words",
  ],
  ["tools in the yard", words("rake hoe pot bucket spade rope ladder barrel"), "yard: item"],
  ["truth values", words("true false"), "logic: value"],
  ["traits of a character", words("quiet jolly wise gentle shy"), "subject's trait"],
  ["ingredients of a recipe", words("ashes leaves water lime roots hemp"), "recipe: ingredient"],
  ["animals", words("cow horse duck dogs ferret parrot"), "entity's kind"],
  ["“giver” and “taker”", words("giver taker wore handed"), "asked role"],
  ["the end of a sentence", words("."), "segment"],
  [
    "the first word of a document",
    words("Grammar Rules Days Chat Sums Tale Yard Logic Markup Calendar Notes"),
    "domain",
  ],
  ["markup", words("< > / = &"), null],
  ["speakers of a chat", words("User Bot"), "speaker"],
  ["numbers written as words", words("one two four seven ten eleven nine"), "calendar: shift"],
  ["common words", words("the The is a to in and was it It then"), null],
];
const TABLE = {
  // L0, FVU, Δloss of each layer, by kind: roughly those of the organism's suite
  att: [
    [4.65, 0.0486, 0.000355],
    [5.02, 0.0357, 0.000293],
    [6.43, 0.063, 0.000708],
    [5.94, 0.0725, 0.000642],
    [7.14, 0.0505, 0.00001],
    [6, 0.0459, 0.0000443],
  ],
  mlp: [
    [3.03, 0.00787, 0.0000046],
    [4.61, 0.0201, 0.000159],
    [6.01, 0.0308, 0.000277],
    [5.46, 0.0289, 0.000335],
    [5.7, 0.0302, 0.000438],
    [5.04, 0.0279, 0.000522],
  ],
  res: [
    [3.6, 0.0163, 0.0319],
    [5.28, 0.0362, 0.0239],
    [6.5, 0.0464, 0.011],
    [5.31, 0.0414, 0.0126],
    [4.61, 0.0322, 0.0119],
    [3.97, 0.0289, 0.0182],
  ],
};
export const FEATURES = 1024;

/** A number in [0, 1) from any numbers and words. */
export function chance(...parts) {
  let h = 2166136261;
  for (const c of parts.join("|")) h = Math.imul(h ^ c.codePointAt(0), 16777619);
  h = Math.imul(h ^ (h >>> 15), 2246822507);
  h = Math.imul(h ^ (h >>> 13), 3266489909);
  return ((h ^ (h >>> 16)) >>> 0) / 4294967296;
}

export const dictionaries = [0, 1, 2, 3, 4, 5].flatMap((layer) =>
  ["res", "att", "mlp"].map((kind) => {
    const [l0, fvu, delta_loss] = TABLE[kind][layer];
    const alive = Math.round(FEATURES * (0.75 + 0.25 * chance(layer, kind)));
    return {
      source: `${layer}-${kind}-1k`,
      site: `${layer}.${kind}`,
      layer,
      kind,
      name: `${layer}.${kind}-width1024-lambda0.002`,
      architecture: "JumpReLU",
      features: FEATURES,
      width: 128,
      alive,
      intervals: {
        l0: [l0 * 0.985, l0 * 1.015],
        fvu: [fvu * 0.94, fvu * 1.06],
        delta_loss: [delta_loss * 0.6, delta_loss * 1.5],
      },
      scores: {
        l0,
        fvu,
        delta_loss,
        loss_recovered: 1 - fvu / 10,
        dead_fraction: 1 - alive / FEATURES,
        f1: kind === "att" ? 0.17 + layer / 90 : kind === "mlp" ? 0.27 - layer / 60 : 0.42 - layer / 28,
      },
    };
  }),
);
export const sources = dictionaries.map((d) => d.source);
const dictionary = (source) => dictionaries.find((d) => d.source === source);

/** What a feature stands for: null where it is dead. */
export function concept(source, index) {
  const d = dictionary(source);
  if (!d || !(index >= 0 && index < FEATURES)) return undefined;
  if (chance("dead", source, index) < d.scores.dead_fraction) return null;
  if (chance("kind", source, index) < 0.3) {
    const [phrase, members, variable] = CONCEPTS[Math.floor(chance("concept", source, index) * CONCEPTS.length)];
    return { phrase, members: new Set(members), variable };
  }
  const word = vocabulary[Math.floor(chance("word", source, index) * vocabulary.length)].trim() || ".";
  return { phrase: `the word “${word}”`, members: new Set([word]), variable: null };
}

const scale = (source, index) => 0.8 + 9 * chance("scale", source, index);

/** Activation of a feature at a token; the same token is not always equally strong. */
function activation(source, index, meant, tokens, i) {
  if (!meant?.members.has(tokens[i].trim())) return 0;
  const strength = 0.25 + 0.75 * chance(source, index, tokens[i], i % 7);
  return strength < 0.3 ? 0 : scale(source, index) * strength;
}
export const activations = (source, index, tokens) => {
  const meant = concept(source, index);
  return tokens.map((_, i) => activation(source, index, meant, tokens, i));
};

const rounded = (x, digits = 4) => Number(x.toPrecision(digits));
const memo = new Map();
/** Counts and places of a feature over the corpus. */
export function facts(source, index) {
  const key = `${source}/${index}`;
  if (!memo.has(key)) {
    const rows = corpus.map((tokens) => activations(source, index, tokens));
    const values = rows.flat().filter((v) => v > 0);
    memo.set(key, {
      rows,
      values,
      count: values.length * 391,
      max: Math.max(0, ...values),
      density: values.length / rows.flat().length,
    });
  }
  return memo.get(key);
}
export const explanation = (source, index) =>
  chance("explained", source, index) < 0.85 ? (concept(source, index)?.phrase ?? null) : null;
export const topToken = (source, index) => {
  const { rows, max } = facts(source, index);
  for (const [d, row] of rows.entries()) {
    const i = row.indexOf(max);
    if (max > 0 && i >= 0) return corpus[d][i];
  }
  return null;
};
export const f1 = (source, index) =>
  concept(source, index)?.variable ? rounded(0.35 + 0.64 * chance("f1", source, index), 3) : null;

const byWord = new Map(
  sources.map((source) => {
    const words = new Map();
    for (let index = 0; index < FEATURES; index++)
      for (const word of concept(source, index)?.members ?? []) words.set(word, [...(words.get(word) ?? []), index]);
    return [source, words];
  }),
);
/** Features of a source that can fire on a token. */
export const candidates = (source, token) => byWord.get(source)?.get(token.trim()) ?? [];
/** All features of a source, for lists. */
export const summary = (source, index) => {
  const { density, max } = facts(source, index);
  return {
    index,
    density: rounded(density),
    max: rounded(max),
    explanation: explanation(source, index),
    top_token: topToken(source, index),
    f1: f1(source, index),
  };
};
