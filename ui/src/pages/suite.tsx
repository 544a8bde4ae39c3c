// Suite: every dictionary with its scores, sortable, and the plots of the release.
import { useState } from "preact/hooks";
import { suite, type Dictionary, type Suite } from "../api";
import { count, number, score } from "../format";
import { Loaded, useLoad } from "../load";
import { shades } from "../parts/column";
import { Pareto } from "../parts/pareto";
import { Title } from "../parts/title";
import { href } from "../router";

export function SuitePage() {
  const loaded = useLoad(() => suite(), []);
  return (
    <>
      <Title text="Suite" />
      <Loaded of={loaded} lines={14}>
        {(suite) => <Opened suite={suite} />}
      </Loaded>
    </>
  );
}

function Opened({ suite }: { suite: Suite }) {
  return (
    <>
      <p class="lede">{suite.description}</p>
      <dl class="facts-list">
        <div>
          <dt>model</dt>
          <dd>
            {suite.model.name}: {suite.model.layers} layers, width {count(suite.model.width)}
          </dd>
        </div>
        <div>
          <dt>text</dt>
          <dd>
            {suite.text.name}: {count(suite.text.documents)} documents, {count(suite.text.tokens)} tokens
          </dd>
        </div>
        <div>
          <dt>special tokens</dt>
          <dd>{suite.text.special_tokens_policy}</dd>
        </div>
        <div>
          <dt>ground truth</dt>
          <dd>{suite.has_truth ? "known of every token" : "none"}</dd>
        </div>
      </dl>
      <Table suite={suite} />
      <div class="pair">
        <section>
          <Pareto suite={suite} axis="fvu" />
        </section>
        <section>
          <Pareto suite={suite} axis="delta_loss" />
        </section>
      </div>
      {suite.notes.length > 0 && (
        <section>
          <h2>Notes</h2>
          <ul class="notes">
            {suite.notes.map((n) => (
              <li key={n}>{n}</li>
            ))}
          </ul>
        </section>
      )}
    </>
  );
}

type Order = { key: string; up: boolean };
const valueOf = (d: Dictionary, key: string): number | string | null =>
  key === "site"
    ? `${String(d.layer ?? 99).padStart(3, "0")} ${d.kind}`
    : key === "features"
      ? d.features
      : key === "alive"
        ? d.alive
        : (d.scores[key] ?? null);

function compare(a: number | string | null, b: number | string | null): number {
  if (a === null || b === null) return Number(a === null) - Number(b === null);
  return typeof a === "string" ? a.localeCompare(String(b)) : a - Number(b);
}

function Table({ suite }: { suite: Suite }) {
  const [order, setOrder] = useState<Order>({ key: "site", up: true });
  const scores = suite.scores.filter((s) => suite.dictionaries.some((d) => d.scores[s.key] != null));
  const rows = [...suite.dictionaries].sort(
    (a, b) => (order.up ? 1 : -1) * compare(valueOf(a, order.key), valueOf(b, order.key)),
  );
  const shadeOf = new Map(scores.map((s) => [s.key, shades(suite.dictionaries, s)]));
  const arrow = { lower: "\u00a0↓", higher: "\u00a0↑", none: "" };
  const head = (key: string, label: string, unit = "") => (
    <th scope="col" key={key} aria-sort={order.key === key ? (order.up ? "ascending" : "descending") : undefined}>
      <button
        type="button"
        onClick={() => setOrder({ key, up: order.key === key ? !order.up : true })}
        data-tip={unit || undefined}
      >
        {label}
      </button>
    </th>
  );
  return (
    <div class="scroll" tabindex={0} role="region" aria-label="scores">
      <table class="data">
        <thead>
          <tr>
            {head("site", "dictionary")}
            <th scope="col" class="left">
              architecture
            </th>
            {head("features", "features")}
            {head("alive", "alive")}
            {scores.map((s) => head(s.key, s.label + arrow[s.better], s.unit))}
          </tr>
        </thead>
        <tbody>
          {rows.map((d) => (
            <tr key={d.source}>
              <th scope="row">
                <a href={href(`/browse/${encodeURIComponent(d.source)}`)}>{d.site}</a>{" "}
                <span class="quiet">{d.name.replace(d.site, "").replace(/^-/, "")}</span>
              </th>
              <td class="left">{d.architecture}</td>
              <td>{count(d.features)}</td>
              <td>{d.alive === null ? "–" : count(d.alive)}</td>
              {scores.map((s) => {
                const shade = shadeOf.get(s.key)!(d);
                const interval = d.intervals[s.key];
                return (
                  <td
                    key={s.key}
                    class={shade === null || s.better === "none" ? "" : `faint${shade}`}
                    data-tip={interval && `95 %: ${number(interval[0])} to ${number(interval[1])}`}
                  >
                    {score(d.scores[s.key], s.unit)}
                  </td>
                );
              })}
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}
