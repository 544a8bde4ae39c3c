// What a feature is said to stand for, with author, score and how it was measured; and the variable of the known
// language that it matches.
import type { Explanation, Feature } from "../api";
import { number } from "../format";

/** The best explanation, which is the first, or what to call a feature that has none. */
export function headline(f: Feature): string {
  return f.explanations[0]?.text ?? (f.dead ? "A dead feature" : (f.truth?.phrase ?? "Not explained yet"));
}

export function Explanations({ of: f }: { of: Feature }) {
  return (
    <section class="explanations">
      <h1>{headline(f)}</h1>
      {f.explanations.map((e, i) => (
        <p key={`${e.author} ${e.method} ${e.text}`} class="explanation">
          {i > 0 && `Also: ${e.text} `}
          <Scored of={e} />
        </p>
      ))}
      {!f.explanations.length && !f.dead && (
        <p class="quiet">Nobody has said yet what this feature stands for; its contexts may tell you.</p>
      )}
    </section>
  );
}

function Scored({ of: e }: { of: Explanation }) {
  return (
    <span class="quiet">
      {e.score !== null && (
        <span class="chip" data-tip={e.how_measured}>
          {e.score_name} {number(e.score, 2)}
        </span>
      )}{" "}
      by {e.author}, {e.method}
      {e.how_measured && `; ${e.how_measured}`}
    </span>
  );
}

export function Matching({ of: f }: { of: Feature }) {
  if (!f.truth) return null;
  const { variable, f1, precision, recall, phrase } = f.truth;
  return (
    <p class="matching">
      Matches the variable <strong>{variable}</strong>
      {phrase && phrase !== variable && ` (${phrase})`} <span class="chip">F1 {number(f1, 2)}</span>{" "}
      <span class="quiet">
        precision {number(precision, 2)}, recall {number(recall, 2)}
      </span>
    </p>
  );
}
