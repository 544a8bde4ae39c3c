//! Tables: aligned text for a terminal, Markdown for a page. Headers and cells are given; only the layout is made here.
//!
//! The text form is plain: two spaces between columns, a rule under the header, no colour, no wrapping. Numbers are
//! right-aligned by naming their column `Align::Right`.

use comfy_table::{Cell, CellAlignment, Table, presets};

/// Where a column's cells stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Align {
    /// Names.
    Left,
    /// Numbers.
    Right,
}

/// Aligned text, one line per row, ending in a newline. Every row has as many cells as there are columns.
pub fn text(columns: &[(&str, Align)], rows: &[Vec<String>]) -> String {
    let mut table = Table::new();
    table.load_preset(presets::NOTHING);
    table.set_header(columns.iter().map(|(name, align)| cell(name, *align)));
    for row in rows {
        assert_eq!(row.len(), columns.len(), "table: a row has another number of cells than the header");
        table.add_row(row.iter().zip(columns).map(|(text, (_, align))| cell(text, *align)));
    }
    // Padding of one on either side makes two spaces between columns, and none at the left edge.
    let last = columns.len().saturating_sub(1);
    for (i, column) in table.column_iter_mut().enumerate() {
        column.set_padding((if i == 0 { 0 } else { 1 }, if i == last { 0 } else { 1 }));
    }
    let mut lines: Vec<String> = table.lines().map(|line| line.trim_end().to_owned()).collect();
    let width = lines.iter().map(|line| line.chars().count()).max().unwrap_or(0);
    lines.insert(1.min(lines.len()), "─".repeat(width));
    lines.join("\n") + "\n"
}

/// The same as a Markdown table; `|` in a cell is escaped.
pub fn markdown(columns: &[(&str, Align)], rows: &[Vec<String>]) -> String {
    let line = |cells: Vec<String>| format!("| {} |\n", cells.join(" | "));
    let mut out = line(columns.iter().map(|(name, _)| escape(name)).collect());
    let rule = |align: &Align| if *align == Align::Right { "---:" } else { "---" };
    out += &line(columns.iter().map(|(_, align)| rule(align).to_owned()).collect());
    for row in rows {
        assert_eq!(row.len(), columns.len(), "table: a row has another number of cells than the header");
        out += &line(row.iter().map(|cell| escape(cell)).collect());
    }
    out
}

fn cell(text: &str, align: Align) -> Cell {
    Cell::new(text).set_alignment(match align {
        Align::Left => CellAlignment::Left,
        Align::Right => CellAlignment::Right,
    })
}

fn escape(cell: &str) -> String {
    cell.replace('|', "\\|").replace('\n', " ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows() -> Vec<Vec<String>> {
        [["0.res", "2048", "0.079"], ["3.mlp-in", "64", "1|2"]]
            .map(|row| row.map(String::from).to_vec())
            .to_vec()
    }
    const COLUMNS: [(&str, Align); 3] = [("site", Align::Left), ("width", Align::Right), ("λ", Align::Right)];

    #[test]
    fn text_is_aligned() {
        let expect = "\
site      width      λ
──────────────────────
0.res      2048  0.079
3.mlp-in     64    1|2
";
        assert_eq!(text(&COLUMNS, &rows()), expect);
    }

    #[test]
    fn markdown_is_escaped() {
        let expect = "\
| site | width | λ |
| --- | ---: | ---: |
| 0.res | 2048 | 0.079 |
| 3.mlp-in | 64 | 1\\|2 |
";
        assert_eq!(markdown(&COLUMNS, &rows()), expect);
    }

    #[test]
    fn a_table_without_rows_has_its_header() {
        assert_eq!(text(&COLUMNS, &[]), "site  width  λ\n──────────────\n");
    }
}
