// The Pareto plot of a suite: what a dictionary loses against how many features it needs, with 95 % intervals.
import { useState } from "preact/hooks";
import { plots, type ParetoPoint, type Suite } from "../api";
import { Scatter } from "../charts/scatter";
import { Empty, Loaded, useLoad } from "../load";
import { Choice } from "./choice";
import { inOrder } from "./kinds";

const AXES = [
  ["fvu", "FVU"],
  ["delta_loss", "Δloss"],
] as const;
type Axis = (typeof AXES)[number][0];
const LABEL = { fvu: "FVU ↓", delta_loss: "Δloss, nats/token ↓" };

export function Pareto({ suite, axis: fixed }: { suite: Suite; axis?: Axis }) {
  const loaded = useLoad(() => plots(), []);
  const [chosen, setChosen] = useState<Axis>("fvu");
  const axis = fixed ?? chosen;
  return (
    <div>
      <header class="row between">
        <h2>{fixed ? `L0 against ${fixed === "fvu" ? "FVU" : "Δloss"}` : "Sparsity against loss"}</h2>
        {!fixed && <Choice label="what is lost" options={AXES} value={axis} onChange={setChosen} />}
      </header>
      <Loaded of={loaded} lines={8}>
        {({ pareto }) =>
          pareto.length ? (
            <Scatter
              marks={marks(pareto, suite, axis)}
              kinds={inOrder(suite.dictionaries.map((d) => d.kind))}
              xLabel="L0, active features per token"
              yLabel={LABEL[axis]}
              logY
            />
          ) : (
            <Empty title="No scores yet.">Run `lapidary evaluate` and build the atlas again.</Empty>
          )
        }
      </Loaded>
    </div>
  );
}

function marks(points: ParetoPoint[], suite: Suite, axis: Axis) {
  return points.flatMap((p) => {
    const d = suite.dictionaries.find((d) => d.source === p.source),
      y = p[axis];
    if (!d || y === null) return [];
    return [
      {
        key: p.source,
        label: d.name,
        kind: d.kind,
        text: String(d.layer ?? ""),
        x: p.l0,
        y,
        xInterval: p.l0_ci,
        yInterval: p[`${axis}_ci`],
        to: `/browse/${encodeURIComponent(p.source)}`,
      },
    ];
  });
}
