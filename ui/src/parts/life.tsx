// The life of a token: which features fire on it at every site, from the first layer at the bottom to the last on top.
import { PER_TOKEN, type Firing, type Microscope } from "../api";
import { number, percent, visible } from "../format";
import { href, pageOf } from "../router";
import { shortSource } from "./feature-link";
import { inOrder } from "./kinds";
import type { Named } from "./seen";

const SHOWN = 3;

interface Props {
  seen: Microscope;
  token: number;
  onLight: (feature: Named | null) => void;
}
interface Place {
  layer: string;
  kind: string;
  /** The kind, or the dictionary where several share the site. */
  label: string;
  source: string;
  firings: Firing[];
}

function places(seen: Microscope, token: number): Place[] {
  const at = (site: string) => seen.sources.filter((s) => s.site === site).length;
  return seen.sources.map((s) => {
    const [layer, kind] = s.site.split(".") as [string, string | undefined];
    const label = at(s.site) > 1 ? shortSource(s.source) : (kind ?? "");
    return { layer, kind: kind ?? "", label, source: s.source, firings: s.tokens[token] ?? [] };
  });
}

export function Life({ seen, token, onLight }: Props) {
  const all = places(seen, token);
  const layers = [...new Set(all.map((p) => p.layer))].sort((a, b) => Number(b) - Number(a));
  const kinds = inOrder(all.map((p) => p.kind));
  return (
    <section>
      <h2>
        The life of <code>{visible(seen.tokens[token])}</code> <span class="quiet">through the layers</span>
      </h2>
      {seen.special[token] && (
        <p class="quiet">A special token: the model reads it, and it is left out of every count.</p>
      )}
      <div class="life" onPointerLeave={() => onLight(null)}>
        {layers.map((layer) => (
          <div class="layer" key={layer}>
            <h3>layer {layer}</h3>
            <div class="sites">
              {kinds.map((kind) =>
                all
                  .filter((p) => p.layer === layer && p.kind === kind)
                  .map((p) => <Site key={p.source} of={p} onLight={onLight} />),
              )}
            </div>
          </div>
        ))}
      </div>
    </section>
  );
}

function Site({ of: p, onLight }: { of: Place; onLight: Props["onLight"] }) {
  const most = Math.max(...p.firings.map((f) => f.value));
  return (
    <div class="site-cell">
      <span class="kind">
        {p.label}
        {p.firings.length > SHOWN &&
          `: ${SHOWN} of ${p.firings.length}${p.firings.length < PER_TOKEN ? "" : " or more"}`}
        {p.firings.length === 0 && ": nothing fires"}
      </span>
      {p.firings.slice(0, SHOWN).map((f) => {
        const light = () => onLight({ source: p.source, index: f.index });
        return (
          <a
            key={f.index}
            href={href(pageOf(p.source, f.index))}
            style={{ "--share": `${(100 * f.value) / most}%` }}
            onPointerEnter={light}
            onFocus={light}
            onBlur={() => onLight(null)}
            data-tip={`${p.source} #${f.index}\nactivation ${number(f.value)}\ndensity ${percent(f.density)}`}
          >
            <span class={f.explanation ? "said" : "said quiet"}>{f.explanation ?? `#${f.index}`}</span>
            <span class="num">{number(f.value, 2)}</span>
          </a>
        );
      })}
    </div>
  );
}
