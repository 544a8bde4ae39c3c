// The lists that a search answers with: of words and tokens, of a text, of a direction.
import { search, searchText, similar, type TextHit } from "../api";
import { count, number, percent, visible } from "../format";
import { Empty, Loaded, useLoad } from "../load";
import { go, withQuery } from "../router";
import { FeatureLink } from "./feature-link";
import { Pager } from "./pager";
import { Tokens } from "./tokens";

const LIMIT = 50;
const bound = (query: URLSearchParams, name: string, fallback: number) => Number(query.get(name) || fallback);

export function WordResults({ query, kind }: { query: URLSearchParams; kind: "explanation" | "token" }) {
  const offset = bound(query, "offset", 0);
  const asked = {
    q: query.get("q"),
    kind,
    source: query.get("source"),
    sort: query.get("sort"),
    max_density: query.get("max_density"),
    min_max: query.get("least"),
    min_score: query.get("score"),
    offset,
    limit: LIMIT,
  };
  const loaded = useLoad(() => search(asked), [query.toString()]);
  return (
    <Loaded of={loaded}>
      {({ total, note, results }) => {
        if (!total) return <Nothing because={note} />;
        return (
          <>
            <p class="quiet" role="status">
              {count(total)} {total === 1 ? "feature" : "features"}
            </p>
            <ol class="hits">
              {results.map((h) => (
                <li key={`${h.source} ${h.index}`}>
                  <FeatureLink {...h} />
                  <span class="where">
                    {h.top_token !== null && <code data-tip="strongest on">{visible(h.top_token)}</code>}
                    {h.score != null && (
                      <small class="quiet">
                        {h.score_name} {number(h.score, 2)}
                      </small>
                    )}
                  </span>
                  <span class="figures quiet">
                    <span data-tip="strongest activation">{number(h.max)}</span>{" "}
                    <span data-tip="density">{percent(h.density)}</span>
                  </span>
                </li>
              ))}
            </ol>
            <Pager offset={offset} total={total} limit={LIMIT} />
          </>
        );
      }}
    </Loaded>
  );
}

const Nothing = ({ because }: { because?: string | null }) => (
  <Empty title={because ? sentence(because) : "No feature was found."}>
    Try one shorter word, another way to search, all dictionaries, or wider filters.
  </Empty>
);
const sentence = (text: string) => `${text[0]!.toUpperCase()}${text.slice(1)}.`;

export function TextResults({ query }: { query: URLSearchParams }) {
  const sort_token = query.has("token") ? bound(query, "token", 0) : undefined,
    source = query.get("source");
  const body = {
    text: query.get("q")!,
    sources: source ? [source] : undefined,
    sort_token,
    max_density: query.get("max_density") ? bound(query, "max_density", 1) : undefined,
    limit: LIMIT,
  };
  const loaded = useLoad(() => searchText(body), [query.toString()]);
  return (
    <Loaded of={loaded}>
      {({ tokens, results }) => {
        const kept = results.filter((r) => r.max >= bound(query, "least", 0));
        return (
          <>
            <div class="strip" role="group" aria-label="rank by token">
              {tokens.map((t, i) => (
                <button
                  type="button"
                  key={i}
                  aria-pressed={i === sort_token}
                  onClick={() => go(withQuery({ token: i === sort_token ? null : i }), true)}
                >
                  {t || "∅"}
                </button>
              ))}
            </div>
            {kept.length ? (
              <ol class="hits text-hits">
                {kept.map((r) => (
                  <TextResult key={`${r.source} ${r.index}`} of={r} tokens={tokens} />
                ))}
              </ol>
            ) : (
              <Nothing />
            )}
          </>
        );
      }}
    </Loaded>
  );
}

function TextResult({ of: r, tokens }: { of: TextHit; tokens: string[] }) {
  return (
    <li>
      <FeatureLink {...r} />
      <span class="snippet" dir="auto">
        <Tokens tokens={tokens} values={r.values} max={r.max} />
      </span>
      <span class="figures quiet">
        <span data-tip="strongest activation here">{number(r.max)}</span>{" "}
        <span data-tip="density">{percent(r.density)}</span>
      </span>
    </li>
  );
}

export function SimilarResults({ query }: { query: URLSearchParams }) {
  const found = query
    .get("q")!
    .trim()
    .match(/([^/]+)\/(\d+)$/);
  const loaded = useLoad(() => (found ? similar(found[1]!, Number(found[2]), LIMIT) : null), [query.get("q")]);
  if (!found)
    return (
      <Empty title="This names no feature.">
        Write SOURCE/INDEX, such as 2-res-1k/17; the page of a feature copies it for you.
      </Empty>
    );
  return (
    <Loaded of={loaded}>
      {({ results }) => (
        <ol class="hits">
          {results
            .filter((r) => r.cosine >= bound(query, "least", -1))
            .map((r) => (
              <li key={`${r.source} ${r.index}`}>
                <FeatureLink {...r} />
                <span class="where" />
                <span class="figures quiet" data-tip="cosine of the decoder directions">
                  {number(r.cosine)}
                </span>
              </li>
            ))}
        </ol>
      )}
    </Loaded>
  );
}
