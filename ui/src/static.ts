// The app on a plain web host: answers are files that `serve --export-site` wrote, and what a server would compute of
// them is done here.
// Typing and steering need a model and are not offered.
import type { FeatureList, FeatureRow, Hit, Suite } from "./api";

export const isStatic = document.querySelector('meta[name="lapidary-static"][content="true"]') !== null;

type Read = <T>(file: string) => Promise<T>;
const file = (path: string) => `api/v1/${path}.json`;

/** The answer of a route, from the files beside the page. */
export async function staticGet<T>(path: string, read: Read): Promise<T> {
  const [route, query] = path.split("?") as [string, string | undefined];
  const asked = new URLSearchParams(query);
  if (route.startsWith("features/")) return list(await read<FeatureList>(file(route)), asked) as T;
  if (route === "search") return (await search(asked, read)) as T;
  if (route === "random") return (await draw(asked.get("source"), read)) as T;
  return read<T>(file(route));
}

type SortKey = "index" | "density" | "max" | "f1";

function list(all: FeatureList, query: URLSearchParams): FeatureList {
  const key = (query.get("sort") ?? "index") as SortKey,
    sign = query.get("order") === "desc" ? -1 : 1;
  const bound = (name: string, fallback: number) => Number(query.get(name) || fallback);
  const keeps = (f: FeatureRow) =>
    f.density >= bound("min_density", 0) &&
    f.density <= bound("max_density", 1) &&
    f.max >= bound("min_max", 0) &&
    (query.get("alive") !== "true" || f.max > 0);
  const found = all.features
    .filter(keeps)
    .sort((a, b) => sign * ((a[key] ?? -1) - (b[key] ?? -1)) || a.index - b.index);
  const offset = bound("offset", 0);
  return {
    source: all.source,
    total: found.length,
    offset,
    features: found.slice(offset, offset + bound("limit", 50)),
  };
}

async function lists(source: string | null, read: Read): Promise<FeatureList[]> {
  const sources = source ? [source] : (await read<Suite>(file("suite"))).dictionaries.map((d) => d.source);
  return Promise.all(sources.map((s) => read<FeatureList>(file(`features/${s}`))));
}

async function search(query: URLSearchParams, read: Read): Promise<{ query: string; total: number; results: Hit[] }> {
  const wanted = (query.get("q") ?? "").trim().toLowerCase(),
    byToken = query.get("kind") === "token";
  const fits = (f: FeatureRow) =>
    byToken ? f.top_token?.trim().toLowerCase() === wanted : f.explanation?.toLowerCase().includes(wanted);
  const why = byToken ? "its strongest token" : "its explanation";
  const all = (await lists(query.get("source"), read)).flatMap(({ source, features }) =>
    features.filter(fits).map((f) => ({ ...f, source, why })),
  );
  const offset = Number(query.get("offset") ?? 0);
  return { query: wanted, total: all.length, results: all.slice(offset, offset + Number(query.get("limit") ?? 50)) };
}

async function draw(source: string | null, read: Read): Promise<{ source: string; index: number }> {
  const one = <T>(items: T[]) => items[Math.floor(Math.random() * items.length)]!;
  const drawn = source ?? one((await read<Suite>(file("suite"))).dictionaries).source;
  const { features } = await read<FeatureList>(file(`features/${drawn}`));
  const living = features.filter((f) => f.max > 0);
  return { source: drawn, index: one(living.length ? living : features).index };
}
