// Who is like a feature: by direction in its own dictionary and in others, by firing together, and which heads it
// reads.
import type { ComponentChildren } from "preact";
import type { Feature, Neighbour } from "../api";
import { number, percent } from "../format";
import { href } from "../router";
import { isStatic } from "../static";
import { Bar } from "./bar";
import { FeatureLink } from "./feature-link";

export function Relatives({ of: f }: { of: Feature }) {
  const { same, across } = f.neighbours,
    correlated = f.correlated?.features ?? [];
  return (
    <>
      {f.heads && <Heads heads={f.heads} />}
      {(same.length > 0 || across.length > 0) && (
        <section>
          <h2>Similar directions</h2>
          {same.length > 0 && (
            <>
              <h3>in this dictionary</h3>
              <Directions list={same} site={false} />
            </>
          )}
          {across.length > 0 && (
            <>
              <h3>across layers and sites</h3>
              <Directions list={across} site />
            </>
          )}
          {!isStatic && (
            <p class="small-print">
              <a href={href(`/search?kind=similar&q=${encodeURIComponent(`${f.source}/${f.index}`)}`)}>More of them</a>
            </p>
          )}
        </section>
      )}
      {correlated.length > 0 && (
        <section>
          <h2>Fires together with</h2>
          <Ranked>
            {correlated.map((c) => (
              <li key={c.index}>
                <FeatureLink source={f.source} index={c.index} site={false} />
                <Bar value={c.pearson} max={1} text={number(c.pearson, 2)} />
              </li>
            ))}
          </Ranked>
          <p class="quiet small-print">
            Pearson's r of activations,{" "}
            {f.correlated!.exact
              ? "exact over the whole dictionary"
              : `with an error of at most ${number(f.correlated!.error_bound, 2)}`}
          </p>
        </section>
      )}
    </>
  );
}

const Ranked = ({ children }: { children: ComponentChildren }) => <ol class="bars links">{children}</ol>;

function Directions({ list, site }: { list: Neighbour[]; site: boolean }) {
  return (
    <Ranked>
      {list.map((n) => (
        <li key={`${n.source} ${n.index}`}>
          <FeatureLink {...n} site={site} />
          <Bar value={n.cosine} max={1} text={number(n.cosine, 2)} />
        </li>
      ))}
    </Ranked>
  );
}

function Heads({ heads }: { heads: { head: number; share: number }[] }) {
  const most = Math.max(...heads.map((h) => h.share));
  return (
    <section>
      <h2>Heads</h2>
      <ol class="bars">
        {[...heads]
          .sort((a, b) => b.share - a.share)
          .map((h) => (
            <li key={h.head}>
              <span>head {h.head}</span>
              <Bar value={h.share} max={most} text={percent(h.share)} />
            </li>
          ))}
      </ol>
      <p class="quiet small-print">length of the direction's part in each head, as a share of all parts</p>
    </section>
  );
}
