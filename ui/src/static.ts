// The app on a plain web host: answers are files that `serve --export-site` wrote, and what a server would compute of
// them is done here.
// Typing and steering need a model and are not offered.
import type { FeatureList, FeatureRow, SearchPage, Suite } from "./api";

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

const bound = (query: URLSearchParams, name: string, fallback: number) => Number(query.get(name) || fallback);

/** Those that pass the filters, in the order that was asked for; without one, as they are. */
function sifted<T extends FeatureRow>(all: T[], query: URLSearchParams): T[] {
  const key = query.get("sort") as SortKey | null,
    sign = (query.get("order") ?? (key === "index" ? "asc" : "desc")) === "desc" ? -1 : 1;
  const keeps = (f: FeatureRow) =>
    f.density >= bound(query, "min_density", 0) &&
    f.density <= bound(query, "max_density", 1) &&
    f.max >= bound(query, "min_max", 0) &&
    (query.get("alive") !== "true" || f.max > 0);
  const found = all.filter(keeps);
  return key ? found.sort((a, b) => sign * ((a[key] ?? -1) - (b[key] ?? -1)) || a.index - b.index) : found;
}

const page = <T>(all: T[], query: URLSearchParams) => {
  const offset = bound(query, "offset", 0);
  return all.slice(offset, offset + bound(query, "limit", 50));
};

function list(all: FeatureList, query: URLSearchParams): FeatureList {
  const found = sifted(all.features, query);
  return {
    source: all.source,
    total: found.length,
    offset: bound(query, "offset", 0),
    features: page(found, query),
  };
}

async function lists(source: string | null, read: Read): Promise<FeatureList[]> {
  const sources = source ? [source] : (await read<Suite>(file("suite"))).dictionaries.map((d) => d.source);
  return Promise.all(sources.map((s) => read<FeatureList>(file(`features/${s}`))));
}

async function search(query: URLSearchParams, read: Read): Promise<SearchPage> {
  const wanted = (query.get("q") ?? "").trim().toLowerCase(),
    byToken = query.get("kind") === "token";
  const words = wanted.match(/[\p{L}\p{N}]+/gu) ?? [];
  if (!(byToken ? wanted : words.length))
    return { query: wanted, total: 0, note: "nothing to search for: type letters or digits", results: [] };
  const said = (f: FeatureRow) => (f.explanation ?? "").toLowerCase().match(/[\p{L}\p{N}]+/gu) ?? [];
  const fits = (f: FeatureRow) =>
    byToken
      ? f.top_token?.trim().toLowerCase() === wanted
      : words.every((word) => said(f).some((other) => other.startsWith(word)));
  const why = byToken ? "its strongest token" : "its explanation";
  const all = (await lists(query.get("source"), read)).flatMap(({ source, features }) =>
    features.filter(fits).map((f) => ({ ...f, source, why })),
  );
  const found = sifted(all, query);
  const nothing = byToken ? "no feature fires most at this token" : "no explanation has these words";
  const hidden = `the filters hide all of the ${all.length} features that were found`;
  const note = found.length ? null : all.length ? hidden : nothing;
  return { query: wanted, total: found.length, note, results: page(found, query) };
}

async function draw(source: string | null, read: Read): Promise<{ source: string; index: number }> {
  const one = <T>(items: T[]) => items[Math.floor(Math.random() * items.length)]!;
  const drawn = source ?? one((await read<Suite>(file("suite"))).dictionaries).source;
  const { features } = await read<FeatureList>(file(`features/${drawn}`));
  const living = features.filter((f) => f.max > 0);
  return { source: drawn, index: one(living.length ? living : features).index };
}
