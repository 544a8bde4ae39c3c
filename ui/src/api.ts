// The JSON of the server, as types, and one function for each route. A failed call is an ApiError that says what to do
// next.
import { isStatic, staticGet } from "./static";

export interface ScoreKind {
  key: string;
  label: string;
  unit: string;
  better: "lower" | "higher" | "none";
}
export interface Dictionary {
  source: string;
  site: string;
  layer: number | null;
  kind: string;
  name: string;
  architecture: string;
  features: number;
  width: number;
  alive: number | null;
  scores: Record<string, number | null>;
  intervals: Record<string, [number, number]>;
}
export interface Suite {
  name: string;
  description: string;
  model: { id: string; name: string; layers: number; width: number; heads: number; vocab: number; loaded: boolean };
  text: { name: string; documents: number; tokens: number; special_tokens_policy: string };
  has_truth: boolean;
  scores: ScoreKind[];
  dictionaries: Dictionary[];
  notes: string[];
}
export interface FeatureRow {
  index: number;
  density: number;
  max: number;
  explanation: string | null;
  top_token: string | null;
  f1: number | null;
}
export interface FeatureList {
  source: string;
  total: number;
  offset: number;
  features: FeatureRow[];
}
/** Half-open bins [edges[i], edges[i + 1]). */
export interface Histogram {
  edges: number[];
  counts: number[];
}
export interface Context {
  document: number;
  start: number;
  tokens: string[];
  values: number[];
  peak: number;
  max: number;
  truth: string[] | null;
}
export interface Quantile {
  low: number;
  high: number;
  share: number;
  contexts: Context[];
}
export interface LogitEffect {
  token: string;
  id: number;
  value: number;
}
export interface LogitEnds {
  top: LogitEffect[];
  bottom: LogitEffect[];
}
export interface Neighbour {
  source: string;
  index: number;
  cosine: number;
  explanation: string | null;
}
export interface Explanation {
  text: string;
  author: string;
  method: string;
  score: number | null;
  score_name: string;
  how_measured: string;
}
export interface Truth {
  variable: string;
  f1: number;
  precision: number;
  recall: number;
  phrase: string;
}
export interface Feature {
  id: string;
  model: string;
  source: string;
  site: string;
  index: number;
  features: number;
  density: number;
  count: number;
  max: number;
  dead: boolean;
  histogram: Histogram;
  logits: (LogitEnds & { with_gain: boolean; histogram: Histogram; without_gain: LogitEnds; note: string }) | null;
  contexts: { top: Context[]; quantiles: Quantile[] };
  neighbours: { same: Neighbour[]; across: Neighbour[] };
  correlated: { exact: boolean; error_bound: number | null; features: { index: number; pearson: number }[] } | null;
  heads: { head: number; share: number }[] | null;
  explanations: Explanation[];
  truth: Truth | null;
  previous: number | null;
  next: number | null;
}
export interface Firing {
  index: number;
  value: number;
  density: number;
  explanation: string | null;
}
export interface Microscope {
  tokens: string[];
  special: boolean[];
  sources: { source: string; site: string; tokens: Firing[][] }[];
}
export interface Tested {
  tokens: string[];
  special: boolean[];
  values: number[];
}
export interface Hit {
  source: string;
  index: number;
  explanation: string | null;
  density: number;
  max: number;
  top_token: string | null;
  why: string;
  /** Of the explanation that was found; a static copy knows none. */
  score?: number | null;
  score_name?: string;
}
export interface SearchPage {
  query: string;
  total: number;
  /** Why nothing was found. */
  note: string | null;
  results: Hit[];
}
export interface TextHit {
  source: string;
  index: number;
  values: number[];
  max: number;
  explanation: string | null;
  density: number;
}
export interface ParetoPoint {
  source: string;
  site: string;
  l0: number;
  l0_ci: [number, number] | null;
  fvu: number | null;
  fvu_ci: [number, number] | null;
  delta_loss: number | null;
  delta_loss_ci: [number, number] | null;
}
export const METHODS = ["add", "clamp", "cap", "orthogonal", "ablate"] as const;
export type Method = (typeof METHODS)[number];
export interface Intervention {
  source: string;
  index: number;
  method: Method;
  strength: number;
}
export interface SteerRequest {
  prompt: string;
  features: Intervention[];
  positions: "all" | "prompt" | "answer";
  keep_error: boolean;
  max_tokens: number;
  temperature: number;
  top_p: number;
  seed: number;
}
export interface SweepPoint {
  strength: number;
  effect: number;
  delta_loss: number | null;
  kl: number | null;
  text: string;
}
export interface SweepEnd {
  default: { effect: number; text: string };
  command: string;
}

export class ApiError extends Error {
  constructor(
    message: string,
    readonly hint: string,
    readonly status: number,
  ) {
    super(message);
  }
}

/** What a refused answer says, whatever it is. */
export async function refusal(response: Response): Promise<ApiError> {
  const said = (await response.json().catch(() => ({}))) as { error?: string; hint?: string };
  return new ApiError(
    said.error ?? `the server answered ${response.status}`,
    said.hint ?? "reload the page, or look at the server's terminal",
    response.status,
  );
}

const offline = () =>
  new ApiError("the server does not answer", "start it again with `lapidary serve`, then reload", 0);

async function call<T>(path: string, init?: RequestInit): Promise<T> {
  const response = await fetch(path, init).catch((error: Error) => {
    throw error.name === "AbortError" ? error : offline();
  });
  if (!response.ok) throw await refusal(response);
  return response.json() as Promise<T>;
}

type Query = Record<string, string | number | boolean | null | undefined>;
export const queryString = (query: Query): string => {
  const given = Object.entries(query).filter(([, v]) => v !== undefined && v !== null && v !== "");
  return given.length ? `?${new URLSearchParams(given.map(([k, v]) => [k, String(v)]))}` : "";
};

/** Answers that are kept, so that going back costs nothing; a feature's page can be a megabyte. */
const MOST_KEPT = 48;
const answers = new Map<string, unknown>();

/** A GET whose answer does not change while the server runs. */
async function kept<T>(path: string): Promise<T> {
  if (!answers.has(path)) {
    const answer = isStatic ? await staticGet(path, (file) => call(file)) : await call(`/api/v1/${path}`);
    answers.set(path, answer);
    if (answers.size > MOST_KEPT) answers.delete(answers.keys().next().value!);
  }
  return answers.get(path) as T;
}
const post = <T>(path: string, body: object, signal?: AbortSignal) =>
  call<T>(`/api/v1/${path}`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify(body),
    signal,
  });

export const suite = () => kept<Suite>("suite");
export const plots = () => kept<{ pareto: ParetoPoint[]; notes: string[] }>("plots");
export const features = (source: string, query: Query) =>
  kept<FeatureList>(`features/${encodeURIComponent(source)}${queryString(query)}`);
export const feature = (source: string, index: number) =>
  kept<Feature>(`feature/${encodeURIComponent(source)}/${index}`);
export const search = (query: Query) => kept<SearchPage>(`search${queryString(query)}`);
/** Another feature each time. */
export const random = (source?: string) =>
  isStatic
    ? staticGet<{ source: string; index: number }>(`random${queryString({ source })}`, (file) => call(file))
    : call<{ source: string; index: number }>(`/api/v1/random${queryString({ source })}`);
/** The strongest features of each token that are asked for. */
export const PER_TOKEN = 8;
export const microscope = (text: string, hide_dense_above: number, signal?: AbortSignal) =>
  post<Microscope>("activations", { text, features_per_token: PER_TOKEN, hide_dense_above }, signal);
export const test = (text: string, source: string, index: number, signal?: AbortSignal) =>
  post<Tested>("activations", { text, source, index }, signal);
export const searchText = (body: {
  text: string;
  sources?: string[];
  sort_token?: number;
  max_density?: number;
  limit?: number;
}) => post<{ tokens: string[]; results: TextHit[] }>("search/text", body);
export const similar = (source: string, index: number, limit: number) =>
  post<{ results: Neighbour[] }>("search/similar", { source, index, limit });
