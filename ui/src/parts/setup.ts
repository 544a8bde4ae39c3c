// The state of the steering page, its defaults, and its form as an address: `f=SOURCE/INDEX/METHOD/STRENGTH` for each
// feature.
import { METHODS, type Intervention, type Method, type SteerRequest } from "../api";

export type Setup = Omit<SteerRequest, "keep_error">;
export const POSITIONS = [
  ["all", "everywhere"],
  ["prompt", "prompt only"],
  ["answer", "answer only"],
] as const;
export const METHOD_SAYS: Record<Method, string> = {
  add: "adds strength × direction to the stream",
  clamp: "sets the feature's activation to the strength, and keeps the dictionary's error",
  cap: "keeps the stream from holding the direction more often than the strength says",
  orthogonal: "multiplies the stream's part along the direction by the strength, and keeps the rest",
  ablate: "takes the feature's contribution away, and keeps the dictionary's error",
};
const DEFAULTS: Setup = {
  prompt: "",
  features: [],
  positions: "all",
  max_tokens: 48,
  temperature: 0.5,
  top_p: 1,
  seed: 16,
};

function bounded(text: string | null, low: number, high: number, fallback: number): number {
  const value = text === null || text === "" ? NaN : Number(text);
  return Number.isFinite(value) ? Math.min(high, Math.max(low, value)) : fallback;
}

function intervention(text: string): Intervention[] {
  const found = text.match(/^(.+)\/(\d+)\/([a-z]+)\/(-?[\d.]+)$/);
  if (!found || !METHODS.includes(found[3] as Method)) return [];
  return [{ source: found[1]!, index: Number(found[2]), method: found[3] as Method, strength: Number(found[4]) || 0 }];
}

export function parse(query: URLSearchParams): Setup {
  return {
    prompt: query.get("prompt") ?? DEFAULTS.prompt,
    features: query.getAll("f").flatMap(intervention),
    positions: POSITIONS.find(([p]) => p === query.get("positions"))?.[0] ?? DEFAULTS.positions,
    max_tokens: Math.round(bounded(query.get("max_tokens"), 1, 256, DEFAULTS.max_tokens)),
    temperature: bounded(query.get("temperature"), 0, 2, DEFAULTS.temperature),
    top_p: bounded(query.get("top_p"), 0.01, 1, DEFAULTS.top_p),
    seed: Math.round(bounded(query.get("seed"), 0, 2 ** 32, DEFAULTS.seed)),
  };
}

/** The address of a setup; what is as by default is left out. */
export function address(setup: Setup): string {
  const query = new URLSearchParams();
  if (setup.prompt) query.set("prompt", setup.prompt);
  for (const f of setup.features) query.append("f", `${f.source}/${f.index}/${f.method}/${f.strength}`);
  for (const key of ["positions", "max_tokens", "temperature", "top_p", "seed"] as const)
    if (setup[key] !== DEFAULTS[key]) query.set(key, String(setup[key]));
  const text = query.toString();
  return text ? `/steer?${text}` : "/steer";
}

/**
 * How strongly a method is tried first on a feature that reaches `max` by itself: an effect that shows, and mostly
 * still reads as text.
 */
export function firstStrength(method: Method, max: number): number {
  const once = Number((max || 5).toPrecision(2));
  return { add: once, clamp: once, cap: 0, orthogonal: 2, ablate: 0 }[method];
}

/** From where to where a slider goes. */
export function span(method: Method, max: number): [number, number] {
  const far = Number(Math.max(1, 3 * (max || 5)).toPrecision(1));
  return { add: [-far, far], clamp: [0, far], cap: [0, far / 3], orthogonal: [-5, 5], ablate: [0, 0] }[method] as [
    number,
    number,
  ];
}
