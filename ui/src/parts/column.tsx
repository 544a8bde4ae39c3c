// The model drawn as it computes, from the bottom up: a row for each layer, a column for each kind of site, a cell for
// each dictionary.
import type { Dictionary, ScoreKind, Suite } from "../api";
import { score as said } from "../format";
import { href } from "../router";
import { MEANING, inOrder } from "./kinds";

const STEPS = 6;
/**
 * Shade 0 (worst, or least) to 5, by the logarithm where all scores are positive. An outlier in twenty, such as a
 * baseline, takes the last shade and does not flatten the rest.
 */
export function shades(dictionaries: Dictionary[], score: ScoreKind): (d: Dictionary) => number | null {
  const values = dictionaries
    .map((d) => d.scores[score.key])
    .filter((v): v is number => Number.isFinite(v))
    .sort((a, b) => a - b);
  const trimmed = Math.ceil(values.length / 20),
    [low, high] = values.length > 8 ? [values[trimmed]!, values.at(-1 - trimmed)!] : [values[0]!, values.at(-1)!];
  const measure = values[0]! > 0 ? Math.log : (v: number) => v;
  const place = (v: number) =>
    Math.min(1, Math.max(0, (measure(v) - measure(low)) / (measure(high) - measure(low) || 1)));
  return (d) => {
    const v = d.scores[score.key];
    if (v === null || v === undefined) return null;
    const up = score.better === "lower" ? 1 - place(v) : place(v);
    return Math.min(STEPS - 1, Math.floor(up * STEPS));
  };
}

export function Column({ suite, score }: { suite: Suite; score: ScoreKind | undefined }) {
  const kinds = inOrder(suite.dictionaries.map((d) => d.kind)),
    layers = [...new Set(suite.dictionaries.map((d) => d.layer))].sort((a, b) => (b ?? -1) - (a ?? -1));
  const shade = score ? shades(suite.dictionaries, score) : () => null;
  const cells = (layer: number | null, kind: string) =>
    suite.dictionaries.filter((d) => d.layer === layer && d.kind === kind);
  return (
    <>
      <table class={layers.length > 10 ? "column dense" : "column"}>
        <caption class="hidden">dictionaries by layer and site, shaded by {score?.label}</caption>
        <thead>
          <tr>
            <th scope="col">layer</th>
            {kinds.map((k) => (
              <th scope="col" key={k} data-tip={MEANING[k]}>
                {k}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {layers.map((layer) => (
            <tr key={layer}>
              <th scope="row">{layer ?? "emb"}</th>
              {kinds.map((kind) => (
                <td key={kind}>
                  <div class="cells">
                    {cells(layer, kind).map((d) => (
                      <Cell key={d.source} of={d} score={score} shade={shade(d)} />
                    ))}
                  </div>
                </td>
              ))}
            </tr>
          ))}
        </tbody>
      </table>
      {score && <Ramp better={score.better} />}
    </>
  );
}

function Cell({ of: d, score, shade }: { of: Dictionary; score: ScoreKind | undefined; shade: number | null }) {
  const value = score ? said(d.scores[score.key], score.unit) : "";
  return (
    <a
      class={`cell ${shade === null ? "" : `shade${shade}`}`}
      href={href(`/browse/${encodeURIComponent(d.source)}`)}
      aria-label={`${d.site}: ${d.features} features, ${score?.label} ${value}`}
      data-tip={`${d.name}\n${d.features} features${score ? `\n${score.label} ${value} ${score.unit}` : ""}`}
    >
      {value}
    </a>
  );
}

function Ramp({ better }: { better: ScoreKind["better"] }) {
  const [from, to] = better === "none" ? ["less", "more"] : ["worse", "better"];
  return (
    <p class="ramp quiet" aria-hidden="true">
      {from}{" "}
      {Array.from({ length: STEPS }, (_, i) => (
        <span key={i} class={`shade${i}`} />
      ))}{" "}
      {to}
    </p>
  );
}
