// Text as tokens, each shaded by how strongly a feature fires on it. White space is kept, line breaks are shown; a
// space before a word
// belongs to its token but stays unshaded, so that lines break well.
import { Fragment } from "preact";
import { number, visible } from "../format";

interface Props {
  tokens: string[];
  values: number[];
  max: number;
  truth?: string[] | null;
  from?: number;
  to?: number;
  peak?: number;
  breaks?: boolean;
  special?: boolean[];
}

export function Tokens({
  tokens,
  values,
  max,
  truth = null,
  from = 0,
  to = tokens.length,
  peak = -1,
  breaks = false,
  special,
}: Props) {
  const shown = tokens.slice(from, to);
  return (
    <span class="tokens">
      {shown.map((token, k) => {
        const i = from + k,
          value = values[i] ?? 0,
          known = truth?.[i] || "";
        const text = display(token, breaks);
        if (value === 0 && !known)
          return special?.[i] ? (
            <span key={i} class="special">
              {text}
            </span>
          ) : (
            text
          );
        const tip = [value > 0 && `${visible(token)}  ${number(value)}`, known.replaceAll("; ", "\n")]
          .filter(Boolean)
          .join("\n");
        const [, lead, rest] = text.match(/^(\s*)([^]*)$/)!;
        const [before, inside] = rest ? [lead, rest] : ["", lead];
        return (
          <Fragment key={i}>
            {before}
            <span
              class={value > 0 ? (i === peak ? "on peak" : "on") : undefined}
              data-tip={tip}
              style={value > 0 ? { "--heat": heat(value, max) } : undefined}
            >
              {inside}
            </span>
          </Fragment>
        );
      })}
    </span>
  );
}

/** 0.08 to 1, so that the weakest firing is still seen. */
export const heat = (value: number, max: number) => (0.08 + 0.92 * Math.min(1, value / (max || 1))).toFixed(3);

const display = (token: string, breaks: boolean) => token.replace(/\n/g, breaks ? "↵\n" : "↵");
