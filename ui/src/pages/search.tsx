// Search: by words of explanations, by a text that activates, by a token, by likeness of direction. The whole question
// is the address.
import { useEffect, useState } from "preact/hooks";
import { suite } from "../api";
import { useLoad } from "../load";
import { Choice } from "../parts/choice";
import { shortSource } from "../parts/feature-link";
import { Bound, DENSITIES, Pick } from "../parts/pick";
import { SimilarResults, TextResults, WordResults } from "../parts/results";
import { Title } from "../parts/title";
import { go, withQuery } from "../router";
import { isStatic } from "../static";

const KINDS = [
  ["explanation", "Explanation"],
  ["text", "Text"],
  ["token", "Token"],
  ["similar", "Direction"],
] as const;
type Kind = (typeof KINDS)[number][0];
/** The last and the second need a server. */
const offered = KINDS.filter(([k]) => !isStatic || k === "explanation" || k === "token");
const ASKS: Record<Kind, { label: string; placeholder: string; says: string }> = {
  explanation: {
    label: "words in explanations",
    placeholder: "colour",
    says: "Finds features whose explanation holds these words.",
  },
  text: {
    label: "a text",
    placeholder: "The giver wore purple.",
    says: "Finds the features that fire most on a text; click a token to rank by it alone.",
  },
  token: {
    label: "a token",
    placeholder: "purple",
    says: "Finds features whose strongest activation lies on this token.",
  },
  similar: {
    label: "a feature, SOURCE/INDEX",
    placeholder: "2-res-1k/17",
    says: "Finds features of all dictionaries whose direction is most like that of a given one.",
  },
};
const SORTS = [
  ["", "best match"],
  ["max", "strongest activation"],
  ["density", "density"],
  ["f1", "F1 of its variable"],
] as const;

export function Search({ query }: { query: URLSearchParams }) {
  const kind = (offered.find(([k]) => k === query.get("kind"))?.[0] ?? "explanation") as Kind;
  const asked = query.get("q") ?? "",
    [typed, setTyped] = useState(asked);
  useEffect(() => setTyped(asked), [asked, kind]);
  const sources = useLoad(() => suite(), []).value?.dictionaries.map((d) => d.source) ?? [];
  const { label, placeholder, says } = ASKS[kind];
  const byWords = kind === "explanation" || kind === "token";
  const change = (name: string) => (to: string) => go(withQuery({ [name]: to, offset: null }), true);
  const submit = (event: SubmitEvent) => {
    event.preventDefault();
    go(withQuery({ q: typed.trim(), offset: null, token: null }));
  };
  return (
    <>
      <Title text="Search" />
      <form class="search" onSubmit={submit}>
        <Choice
          label="what to search by"
          options={offered}
          value={kind}
          onChange={(k) => go(withQuery({ kind: k === "explanation" ? null : k, q: null, offset: null, token: null }))}
        />
        <label class="hidden" for="q">
          {label}
        </label>
        <div class="field">
          <input
            id="q"
            type="search"
            value={typed}
            placeholder={placeholder}
            ref={focusOnce}
            onInput={(e) => setTyped(e.currentTarget.value)}
            autocomplete="off"
          />
          <button class="primary">Search</button>
        </div>
        <p class="quiet">{says}</p>
      </form>
      <div class="filters">
        {kind !== "similar" && (
          <Pick
            label="dictionary"
            options={[["", "all"], ...sources.map((s) => [s, shortSource(s)] as const)]}
            value={query.get("source") ?? ""}
            onChange={change("source")}
          />
        )}
        {kind !== "similar" && (
          <Pick
            label="density at most"
            options={DENSITIES}
            value={query.get("max_density") ?? ""}
            onChange={change("max_density")}
          />
        )}
        <Bound
          label={kind === "similar" ? "cosine at least" : "activation at least"}
          value={query.get("least")}
          onChange={change("least")}
        />
        {byWords && !isStatic && <Bound label="score at least" value={query.get("score")} onChange={change("score")} />}
        {byWords && <Pick label="sort by" options={SORTS} value={query.get("sort") ?? ""} onChange={change("sort")} />}
      </div>
      {asked.trim() &&
        (kind === "text" ? (
          <TextResults query={query} />
        ) : kind === "similar" ? (
          <SimilarResults query={query} />
        ) : (
          <WordResults query={query} kind={kind} />
        ))}
    </>
  );
}

/** The field has the keyboard when the page opens, unless that would raise one of glass. */
const focusOnce = (field: HTMLInputElement | null) => {
  if (matchMedia("(pointer: fine)").matches) field?.focus();
};
