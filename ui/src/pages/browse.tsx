// Browse: the features of one dictionary as a list; sort, filters and page live in the address.
import { features, suite, type FeatureRow } from "../api";
import { count, number, percent, visible } from "../format";
import { Empty, Loaded, useLoad } from "../load";
import { shortSource } from "../parts/feature-link";
import { Pager } from "../parts/pager";
import { Bound, DENSITIES, Pick } from "../parts/pick";
import { Title } from "../parts/title";
import { go, href, pageOf, withQuery } from "../router";

const LIMIT = 50;
const SORTS = [
  ["density", "density"],
  ["max", "strongest activation"],
  ["index", "index"],
  ["f1", "F1"],
] as const;
export function Browse({ source, query }: { source: string; query: URLSearchParams }) {
  const sort = query.get("sort") ?? "density",
    order = query.get("order") ?? (sort === "index" ? "asc" : "desc"),
    offset = Number(query.get("offset")) || 0;
  const alive = query.get("alive") !== "false";
  const asked = {
    sort,
    order,
    offset,
    limit: LIMIT,
    alive,
    min_density: query.get("min_density"),
    max_density: query.get("max_density"),
    min_max: query.get("min_max"),
  };
  const loaded = useLoad(() => features(source, asked), [source, query.toString()]);
  const known = useLoad(() => suite(), []).value?.dictionaries.find((d) => d.source === source);
  const change = (name: string) => (to: string) =>
    go(withQuery({ [name]: to, offset: null, ...(name === "sort" ? { order: null } : {}) }), true);
  return (
    <>
      <Title text={shortSource(source)} />
      {known && (
        <p class="quiet">
          {known.architecture}, {count(known.features)} features
          {known.alive !== null && `, ${count(known.alive)} alive`}, L0 {number(known.scores.l0)}, FVU{" "}
          {number(known.scores.fvu)}, Δloss {number(known.scores.delta_loss)}
        </p>
      )}
      <div class="filters">
        <Pick label="sort by" options={SORTS} value={sort} onChange={change("sort")} />
        <button
          type="button"
          class="small"
          onClick={() => go(withQuery({ order: order === "asc" ? "desc" : "asc", offset: null }), true)}
        >
          {order === "asc" ? "least first ↑" : "greatest first ↓"}
        </button>
        <Pick
          label="density from"
          options={DENSITIES}
          value={query.get("min_density") ?? ""}
          onChange={change("min_density")}
        />
        <Pick label="to" options={DENSITIES} value={query.get("max_density") ?? ""} onChange={change("max_density")} />
        <Bound label="strongest at least" value={query.get("min_max")} onChange={change("min_max")} />
        <label class="check">
          <input
            type="checkbox"
            checked={!alive}
            onChange={(e) => go(withQuery({ alive: e.currentTarget.checked ? "false" : null, offset: null }), true)}
          />{" "}
          with dead ones
        </label>
      </div>
      <Loaded of={loaded} lines={16}>
        {(list) =>
          list.features.length === 0 ? (
            <Empty title="No feature passes these filters.">
              Widen the density, or lower the bound on the strongest activation.
            </Empty>
          ) : (
            <>
              <p class="quiet">{count(list.total)} features</p>
              <Rows source={source} rows={list.features} />
              <Pager offset={list.offset} total={list.total} limit={LIMIT} />
            </>
          )
        }
      </Loaded>
    </>
  );
}

function Rows({ source, rows }: { source: string; rows: FeatureRow[] }) {
  const truth = rows.some((r) => r.f1 !== null);
  return (
    <div class="scroll" tabindex={0} role="region" aria-label="features">
      <table class="data list">
        <thead>
          <tr>
            <th scope="col">feature</th>
            <th scope="col" class="left">
              explanation
            </th>
            <th scope="col" class="left">
              strongest on
            </th>
            <th scope="col">density</th>
            <th scope="col">strongest</th>
            {truth && <th scope="col">F1</th>}
          </tr>
        </thead>
        <tbody>
          {rows.map((r) => (
            <tr key={r.index} class={r.max === 0 ? "dead" : undefined}>
              <th scope="row">
                <a href={href(pageOf(source, r.index))}>#{r.index}</a>
              </th>
              <td class="left wide">
                {r.max === 0 ? (
                  <span class="quiet">dead: it never fired</span>
                ) : (
                  (r.explanation ?? <span class="quiet">no explanation</span>)
                )}
              </td>
              <td class="left">
                <code>{visible(r.top_token)}</code>
              </td>
              <td>{percent(r.density)}</td>
              <td>{number(r.max)}</td>
              {truth && <td>{number(r.f1, 2)}</td>}
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}
