// The kinds of sites, in the order in which a layer computes them, and what each is.

const ORDER = ["att", "attn", "mid", "mlp-in", "mlp", "res"];

export const MEANING: Record<string, string> = {
  res: "residual stream after the layer",
  att: "outputs of the attention heads",
  attn: "what attention adds to the stream",
  mlp: "what the MLP adds to the stream",
  "mlp-in": "what the MLP reads",
  mid: "residual stream between attention and MLP",
};

const rank = (kind: string) => (ORDER.includes(kind) ? ORDER.indexOf(kind) : ORDER.length);

/** Each kind once, in that order. */
export const inOrder = (kinds: string[]) => [...new Set(kinds)].sort((a, b) => rank(a) - rank(b) || a.localeCompare(b));
