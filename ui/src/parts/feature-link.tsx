// A feature named in a list: its place, its index, what it is said to stand for.
import { href, pageOf } from "../router";

/** `2-res-1k` → `2.res`, with what comes after the kind where several dictionaries share a site. */
export const shortSource = (source: string) =>
  source
    .replace(/^(\d+)-([a-z]+)/, "$1.$2")
    .replace(/__/g, ", ")
    .replace(/-/g, " ");

interface Props {
  source: string;
  index: number;
  explanation?: string | null;
  site?: boolean;
}

export function FeatureLink({ source, index, explanation, site = true }: Props) {
  return (
    <a class="feature-link" href={href(pageOf(source, index))}>
      <span class="id">
        {site && <span class="site">{shortSource(source)} </span>}#{index}
      </span>
      {explanation !== undefined && (
        <span class={explanation ? "said" : "said quiet"}>{explanation ?? "no explanation"}</span>
      )}
    </a>
  );
}
