//! A plot's data as CSV (RFC 4180), every number as it is.

use super::{Axis, Plot, Point};

pub(super) fn csv(plot: &Plot) -> String {
    let named = |axis: &Axis| [axis.text(), format!("{} low", axis.label), format!("{} high", axis.label)];
    let header = ["series".to_string(), "label".to_string()].into_iter();
    let mut out = line(header.chain(named(&plot.x)).chain(named(&plot.y)));
    for series in &plot.series {
        for point in &series.points {
            out += &line(cells(plot, &series.name, point).into_iter());
        }
    }
    out
}

fn cells(plot: &Plot, series: &str, p: &Point) -> Vec<String> {
    let mut cells = vec![series.to_string(), p.label.clone()];
    cells.extend(three(&plot.x, p.x, p.x_interval));
    cells.extend(three(&plot.y, p.y, p.y_interval));
    cells
}

/// A value and the ends of its interval; a name in place of its number.
fn three(axis: &Axis, value: f64, interval: Option<(f64, f64)>) -> [String; 3] {
    let name = axis.names().and_then(|names| names.get(value as usize)).cloned();
    let end = |x: Option<f64>| x.map(|x| x.to_string()).unwrap_or_default();
    [
        name.unwrap_or_else(|| value.to_string()),
        end(interval.map(|(low, _)| low)),
        end(interval.map(|(_, high)| high)),
    ]
}

fn line(cells: impl Iterator<Item = String>) -> String {
    cells.map(|cell| quoted(&cell)).collect::<Vec<_>>().join(",") + "\n"
}

fn quoted(cell: &str) -> String {
    match cell.contains([',', '"', '\n', '\r']) {
        true => format!("\"{}\"", cell.replace('"', "\"\"")),
        false => cell.into(),
    }
}
