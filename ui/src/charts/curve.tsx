// A curve through points that arrive one by one: y against x, each point told by hover.
import { number } from "../format";
import { Frame, useWidth } from "./frame";
import { extent, linear } from "./scale";

export interface Point {
  x: number;
  y: number;
  tip: string;
}

interface Props {
  points: Point[];
  xLabel: string;
  yLabel: string;
  xDomain: [number, number] | null;
  tone: "plus" | "minus" | "bar";
  joined?: boolean;
  height?: number;
}

export function Curve({ points, xLabel, yLabel, xDomain, tone, joined = true, height = 190 }: Props) {
  const { ref, width } = useWidth();
  return (
    <div ref={ref}>
      {points.length > 0 && <Line {...{ points, xLabel, yLabel, xDomain, tone, joined, height, width }} />}
    </div>
  );
}

function Line({ points, xLabel, yLabel, xDomain, tone, joined, height, width }: Required<Props> & { width: number }) {
  const margins = { top: 24, right: 12, bottom: 36, left: 46 };
  const xs = xDomain ?? extent(points.map((p) => p.x))!,
    ys = extent([0, ...points.map((p) => p.y)])!;
  const x = linear(xs, [margins.left, width - margins.right], 6),
    y = linear(ys, [height - margins.bottom, margins.top], 4);
  const path = points.map((p, i) => `${i ? "L" : "M"}${x(p.x)} ${y(p.y)}`).join("");
  const says = `${yLabel} against ${xLabel}: ${points.map((p) => `${number(p.x)}: ${number(p.y)}`).join(", ")}`;
  return (
    <Frame {...{ width, height, margins, x, y, xLabel, yLabel, says }}>
      {ys[0] < 0 && <line class="axis" x1={margins.left} x2={width - margins.right} y1={y(0)} y2={y(0)} />}
      {joined && <path class={`line ${tone}`} d={path} />}
      {points.map((p) => (
        <circle key={`${p.x} ${p.y}`} class={`point ${tone}`} cx={x(p.x)} cy={y(p.y)} r="3.5" data-tip={p.tip} />
      ))}
    </Frame>
  );
}
