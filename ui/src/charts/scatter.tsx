// The Pareto plot: one mark for each dictionary, its kind told by colour and by shape, its layer by a figure where there
// is room for it, its interval by whiskers.
import { number } from "../format";
import { href } from "../router";
import { Frame, useWidth } from "./frame";
import { placeLabels } from "./labels";
import { extent, linear, log } from "./scale";

export interface Mark {
  key: string;
  label: string;
  kind: string;
  text: string;
  x: number;
  y: number;
  xInterval: [number, number] | null;
  yInterval: [number, number] | null;
  to: string;
}

interface Props {
  marks: Mark[];
  kinds: string[];
  xLabel: string;
  yLabel: string;
  logY: boolean;
  height?: number;
}

const SHAPES = [
  "M0-5A5 5 0 1 1 0 5A5 5 0 1 1 0-5Z",
  "M-4.6-4.6H4.6V4.6H-4.6Z",
  "M0-6L5.5 4.5H-5.5Z",
  "M0-6.5L6 0L0 6.5L-6 0Z",
  "M-6-1.8H-1.8V-6H1.8V-1.8H6V1.8H1.8V6H-1.8V1.8H-6Z",
];
const style = (kinds: string[], kind: string) => Math.max(0, kinds.indexOf(kind)) % SHAPES.length;

export function Scatter({ marks, kinds, xLabel, yLabel, logY, height = 380 }: Props) {
  const { ref, width } = useWidth(480);
  const shown = marks.filter((m) => m.x > 0 && (!logY || m.y > 0));
  return (
    <div>
      <Legend kinds={kinds} />
      <div ref={ref}>
        {shown.length > 0 && <Plot {...{ marks: shown, kinds, xLabel, yLabel, logY, height, width }} />}
      </div>
    </div>
  );
}

function Plot({ marks, kinds, xLabel, yLabel, logY, height, width }: Required<Props> & { width: number }) {
  const margins = { top: 24, right: 14, bottom: 38, left: 52 };
  const positive = (v: number) => !logY || v > 0;
  const xs = extent(marks.flatMap((m) => [m.x, ...(m.xInterval ?? [])]))!,
    ys = extent(marks.flatMap((m) => [m.y, ...(m.yInterval ?? [])].filter(positive)))!;
  const x = log([xs[0] / 1.12, xs[1] * 1.12], [margins.left, width - margins.right], 6);
  const floor = height - margins.bottom;
  const y = logY
    ? log([ys[0] / 1.2, ys[1] * 1.2], [floor, margins.top], 6)
    : linear([Math.min(0, ys[0]), ys[1] * 1.06], [floor, margins.top], 5);
  const low = (v: number) => Math.min(floor, positive(v) ? y(v) : floor);
  const labels = placeLabels(marks.map((m) => ({ x: x(m.x), y: y(m.y), text: m.text })));
  const lost = yLabel.replace(" ↓", "");
  const says = `${lost} against ${xLabel} of ${marks.length} dictionaries`;
  return (
    <Frame {...{ width, height, margins, x, y, xLabel, yLabel, says }} interactive>
      {marks.map((m, i) => (
        <a
          key={m.key}
          class={`mark kind${style(kinds, m.kind)}`}
          href={href(m.to)}
          aria-label={`${m.label}: ${xLabel} ${number(m.x)}, ${lost} ${number(m.y)}`}
          data-tip={`${m.label}\n${xLabel} ${number(m.x)}\n${lost} ${number(m.y)}`}
        >
          {m.yInterval && (
            <line class="whisker" x1={x(m.x)} x2={x(m.x)} y1={low(m.yInterval[0])} y2={y(m.yInterval[1])} />
          )}
          {m.xInterval && (
            <line class="whisker" x1={x(m.xInterval[0])} x2={x(m.xInterval[1])} y1={y(m.y)} y2={y(m.y)} />
          )}
          <path transform={`translate(${x(m.x)} ${y(m.y)})`} d={SHAPES[style(kinds, m.kind)]!} />
          {labels[i] && <text {...labels[i]}>{m.text}</text>}
        </a>
      ))}
    </Frame>
  );
}

function Legend({ kinds }: { kinds: string[] }) {
  return (
    <ul class="legend">
      {kinds.map((kind) => (
        <li key={kind}>
          <svg class={`kind${style(kinds, kind)}`} width="14" height="14" viewBox="-7 -7 14 14" aria-hidden="true">
            <path d={SHAPES[style(kinds, kind)]!} />
          </svg>
          {kind}
        </li>
      ))}
    </ul>
  );
}
