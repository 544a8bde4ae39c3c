// Feature: everything known of one direction; alone, beside a second one (`?compare=`), or bare inside another page
// (`?embed=true`).
import { feature, type Feature as FeatureData } from "../api";
import { count } from "../format";
import { Failure, Loaded, useLoad } from "../load";
import { Contexts } from "../parts/contexts";
import { Copy } from "../parts/copy";
import { LogitEffects } from "../parts/effects";
import { Explanations, Matching, headline } from "../parts/explanations";
import { shortSource } from "../parts/feature-link";
import { Firing } from "../parts/firing";
import { useKeys } from "../parts/help";
import { OwnText } from "../parts/own-text";
import { Relatives } from "../parts/relatives";
import { firstStrength } from "../parts/setup";
import { useTitle } from "../parts/title";
import { absolute, go, href, pageOf, withQuery } from "../router";
import { isStatic } from "../static";
import { CompareField } from "../parts/compare-field";

interface Props {
  source: string;
  index: number;
  query: URLSearchParams;
}

export function Feature({ source, index, query }: Props) {
  const loaded = useLoad(() => feature(source, index), [source, index]);
  const other = second(query.get("compare"));
  useTitle(
    loaded.value ? `${headline(loaded.value)} · ${shortSource(source)} #${index}` : `${shortSource(source)} #${index}`,
  );
  if (query.get("embed") === "true") return <Loaded of={loaded}>{(f) => <Embedded of={f} query={query} />}</Loaded>;
  if (loaded.error)
    return (
      <>
        <h1>
          {shortSource(source)} #{index}
        </h1>
        <Failure error={loaded.error} />
      </>
    );
  return (
    <Loaded of={loaded} lines={14}>
      {(f) => (
        <>
          <Steps of={f} compared={other !== null} />
          {other ? <Compared first={f} other={other} /> : <Alone of={f} />}
        </>
      )}
    </Loaded>
  );
}

function second(compare: string | null): { source: string; index: number } | null {
  const found = compare?.match(/^(.+)\/(\d+)$/);
  return found ? { source: found[1]!, index: Number(found[2]) } : null;
}

/** Where one is among the features, and the ways on. */
function Steps({ of: f, compared }: { of: FeatureData; compared: boolean }) {
  const to = (index: number | null) => {
    if (index !== null) go(pageOf(f.source, index));
  };
  const before = () => to(f.previous),
    after = () => to(f.next);
  useKeys({ j: after, ArrowRight: after, k: before, ArrowLeft: before });
  return (
    <div class="row between steps">
      <nav class="crumbs" aria-label="where this is">
        <a href={href("/")}>{f.model}</a> ›{" "}
        <a href={href(`/browse/${encodeURIComponent(f.source)}`)}>{shortSource(f.source)}</a> ›{" "}
        <span>
          #{f.index} <span class="quiet">of {count(f.features)}</span>
        </span>
      </nav>
      <div class="row">
        <Step index={f.previous} source={f.source} text="← previous" tip="k" />
        <Step index={f.next} source={f.source} text="next →" tip="j" />
        {!isStatic && (
          <a
            class="button small"
            href={href(`/steer?f=${encodeURIComponent(`${f.source}/${f.index}/add/${firstStrength("add", f.max)}`)}`)}
          >
            Steer with it
          </a>
        )}
        <Copy text={f.id} tip={f.id}>
          Copy id
        </Copy>
        <Copy text={absolute(pageOf(f.source, f.index))}>Copy link</Copy>
        {compared ? (
          <a class="button small" href={href(withQuery({ compare: null }))}>
            End comparison
          </a>
        ) : (
          <CompareField of={f} />
        )}
      </div>
    </div>
  );
}

function Step({ source, index, text, tip }: { source: string; index: number | null; text: string; tip: string }) {
  return index === null ? (
    <span class="button small off">{text}</span>
  ) : (
    <a class="button small" href={href(pageOf(source, index))} data-tip={tip}>
      {text}
    </a>
  );
}

function Alone({ of: f }: { of: FeatureData }) {
  return (
    <article class="feature">
      <div class="head">
        <Explanations of={f} />
        <Matching of={f} />
      </div>
      {f.dead ? (
        <Dead of={f} />
      ) : (
        <div class="main">
          {!isStatic && <OwnText of={f} />}
          <Contexts of={f} />
        </div>
      )}
      <aside>
        {!f.dead && <Firing of={f} />}
        <LogitEffects of={f} />
        <Relatives of={f} />
      </aside>
    </article>
  );
}

function Dead({ of: f }: { of: FeatureData }) {
  return (
    <div class="main notice">
      <p>
        <strong>This feature is dead.</strong> It fired on no token of the text that this atlas was built from, so there
        is nothing to show of where it fires.
      </p>
      <p class="quiet">
        Its direction still exists: the effects on the next word say what it would do.{" "}
        {f.next !== null && (
          <>
            The next living one is <a href={href(pageOf(f.source, f.next))}>#{f.next}</a>.
          </>
        )}
      </p>
    </div>
  );
}

function Compared({ first, other }: { first: FeatureData; other: { source: string; index: number } }) {
  const loaded = useLoad(() => feature(other.source, other.index), [other.source, other.index]);
  return (
    <div class="pair compare">
      <Half of={first} />
      <Loaded of={loaded} lines={14}>
        {(f) => <Half of={f} />}
      </Loaded>
    </div>
  );
}

function Half({ of: f }: { of: FeatureData }) {
  return (
    <article>
      <p class="crumbs">
        <a href={href(pageOf(f.source, f.index))}>
          {shortSource(f.source)} #{f.index}
        </a>
      </p>
      <Explanations of={f} />
      <Matching of={f} />
      {f.dead ? <Dead of={f} /> : <Firing of={f} />}
      <LogitEffects of={f} />
      {!f.dead && <Contexts of={f} compact />}
    </article>
  );
}

/** For notebooks: what Neuronpedia's parameters ask for. A part is shown unless its parameter says false. */
function Embedded({ of: f, query }: { of: FeatureData; query: URLSearchParams }) {
  const asks = (part: string) => query.get(`embed${part}`) !== "false";
  return (
    <article class="embedded">
      {asks("link") && (
        <p class="crumbs">
          <a href={href(pageOf(f.source, f.index))} target="_blank" rel="noopener">
            {f.id}
          </a>
        </p>
      )}
      {asks("explanation") && <Explanations of={f} />}
      {asks("plots") && (
        <div class="pair">
          {!f.dead && <Firing of={f} />}
          <LogitEffects of={f} brief />
        </div>
      )}
      {asks("test") && !f.dead && !isStatic && (
        <OwnText of={f} initial={query.get("defaulttesttext") ?? ""} field={asks("testfield")} />
      )}
      {f.dead ? <Dead of={f} /> : asks("activations") && <Contexts of={f} compact />}
    </article>
  );
}
