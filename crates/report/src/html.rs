//! A page of HTML that is one file: no script, nothing from elsewhere, its pictures inside. It follows the reader's light or
//! dark, is read on a phone, and prints.
//!
//! Text, tables and plots are given in order; only the layout is made here.

use crate::number::count;
use crate::plot::{Plot, STYLE, escaped};
use crate::table::Align;

/// The page.
#[derive(Clone, Debug, PartialEq)]
pub struct Html {
    /// Its name.
    pub title: String,
    /// What it is, a paragraph each.
    pub lead: Vec<String>,
    /// In order; a list of them stands on top.
    pub sections: Vec<Section>,
    /// The last line.
    pub foot: String,
}

/// A part of the page.
#[derive(Clone, Debug, PartialEq)]
pub struct Section {
    /// Its name.
    pub heading: String,
    /// What stands in it.
    pub parts: Vec<Part>,
}

/// Something in a section.
#[derive(Clone, Debug, PartialEq)]
pub enum Part {
    /// A paragraph.
    Text(String),
    /// Sentences, one below the other.
    List(Vec<String>),
    /// Pictures side by side, as many as fit; up to three.
    Plots(Vec<Plot>),
    /// Cells by columns; a cell whose second half is after a tab has it small below.
    /// One of more than [`FOLDED`] rows is folded.
    Table(Vec<(String, Align)>, Vec<Vec<String>>),
}

/// Rows of a table that nobody has to unfold.
pub const FOLDED: usize = 40;

const LAYOUT: &str = "\
:root{color-scheme:light dark}
body{margin:0 auto;max-width:1400px;padding:0 16px 48px;background:#fff;color:#24292f;
font:16px/1.5 system-ui,-apple-system,'Segoe UI',Roboto,'DejaVu Sans',sans-serif}
h1{font-size:26px;margin:24px 0 8px}h2{font-size:20px;margin:40px 0 8px;padding-top:8px;border-top:1px solid #d8dee4}
summary{cursor:pointer;color:#0b63a5}p,ul{max-width:76ch;margin:8px 0}nav{margin:12px 0;line-height:2}nav a{margin-right:18px;white-space:nowrap}a{color:#0b63a5}
.plots{display:grid;grid-template-columns:repeat(auto-fill,minmax(min(380px,100%),1fr));gap:20px;margin:12px 0;align-items:end}
.two{max-width:1120px}.one{max-width:540px}.plots svg{width:100%;height:auto}
.wide{overflow-x:auto;margin:12px 0}table{border-collapse:collapse;font-size:14px;font-variant-numeric:tabular-nums}
th,td{padding:3px 14px 3px 0;text-align:left;white-space:nowrap;vertical-align:top}th{border-bottom:1px solid #8c959f}
.r{text-align:right}small,footer{color:#57606a}td small{display:block;font-size:11px;line-height:1.2}footer{margin-top:48px;font-size:14px}
@media screen and (prefers-color-scheme:dark){body{background:#14181d;color:#e6edf3}h2{border-color:#2d333b}a,summary{color:#6cb6ff}
th{border-color:#6e7681}small,footer{color:#9aa4af}}
@media print{nav{display:none}.plots{grid-template-columns:1fr 1fr}svg,tr{break-inside:avoid}h2{break-after:avoid}.wide{overflow:visible}
table{font-size:10px}td small{font-size:8px}th,td{padding-right:8px}}
";

/// The file.
pub fn html(page: &Html) -> String {
    let title = escaped(&page.title);
    let lead: String = page.lead.iter().map(|text| paragraph(text)).collect();
    let links: String = (0..).zip(&page.sections).map(|(n, s)| link(n, s)).collect();
    let sections: String = (0..).zip(&page.sections).map(|(n, s)| section(n, s)).collect();
    let foot = escaped(&page.foot);
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n<meta name=\"viewport\" \
         content=\"width=device-width,initial-scale=1\">\n<title>{title}</title>\n<style>\n{LAYOUT}{STYLE}</style>\n</head>\n\
         <body>\n<h1>{title}</h1>\n{lead}<nav>{links}</nav>\n{sections}<footer>{foot}</footer>\n</body>\n</html>\n"
    )
}

fn link(n: usize, section: &Section) -> String {
    format!("<a href=\"#s{n}\">{}</a> ", escaped(&section.heading))
}

fn section(n: usize, section: &Section) -> String {
    let parts: String = section.parts.iter().map(part).collect();
    format!("<section id=\"s{n}\">\n<h2>{}</h2>\n{parts}</section>\n", escaped(&section.heading))
}

fn part(part: &Part) -> String {
    match part {
        Part::Text(text) => paragraph(text),
        Part::List(lines) => {
            let lines: String = lines.iter().map(|line| format!("<li>{}</li>\n", escaped(line))).collect();
            format!("<ul>\n{lines}</ul>\n")
        }
        Part::Plots(plots) => {
            let many = ["one", "one", "two"].get(plots.len()).unwrap_or(&"three");
            let plots: String = plots.iter().map(Plot::inline_svg).collect();
            format!("<div class=\"plots {many}\">\n{plots}</div>\n")
        }
        Part::Table(columns, rows) => table(columns, rows),
    }
}

fn paragraph(text: &str) -> String {
    format!("<p>{}</p>\n", escaped(text))
}

fn table(columns: &[(String, Align)], rows: &[Vec<String>]) -> String {
    let class = |align: &Align| if *align == Align::Right { " class=\"r\"" } else { "" };
    let head: String =
        columns.iter().map(|(name, align)| format!("<th{}>{}</th>", class(align), escaped(name))).collect();
    let cell = |(text, (_, align)): (&String, &(String, Align))| {
        let inner = match text.split_once('\t') {
            Some((value, below)) => format!("{}<small>{}</small>", escaped(value), escaped(below)),
            None => escaped(text),
        };
        format!("<td{}>{inner}</td>", class(align))
    };
    let row = |cells: &Vec<String>| {
        assert_eq!(cells.len(), columns.len(), "table: a row has another number of cells than the header");
        format!("<tr>{}</tr>\n", cells.iter().zip(columns).map(cell).collect::<String>())
    };
    let body: String = rows.iter().map(row).collect();
    let table = format!(
        "<div class=\"wide\"><table>\n<thead><tr>{head}</tr></thead>\n<tbody>\n{body}</tbody>\n</table></div>\n"
    );
    match rows.len() {
        n if n > FOLDED => {
            format!("<details><summary>{} rows</summary>\n{table}</details>\n", count(n as u64))
        }
        _ => table,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plot::{Axis, Scale};

    #[test]
    fn a_page_holds_all_it_shows_and_text_stays_text() {
        let plot = Plot {
            title: "Nothing yet".into(),
            x: Axis::new("x", "", Scale::Linear),
            y: Axis::new("y", "", Scale::Linear),
            series: Vec::new(),
        };
        let table = Part::Table(
            vec![("site".into(), Align::Left), ("L0".into(), Align::Right)],
            vec![vec!["3.res".into(), "20.8\t20.1 to 21.5".into()]],
        );
        let parts = vec![Part::Text("a < b & c".into()), Part::Plots(vec![plot]), table];
        let page = Html {
            title: "<script>".into(),
            lead: vec!["Scored on 5 rows.".into()],
            sections: vec![Section { heading: "Pareto".into(), parts }],
            foot: "end".into(),
        };
        let text = html(&page);
        assert!(!text.contains("<script") && text.contains("<title>&lt;script&gt;</title>"), "{text}");
        // The namespace of SVG is a name; nothing is fetched.
        let addresses = ["http://", "https://", "src=", "@import", "url("];
        let found: Vec<&str> = addresses.into_iter().filter(|a| text.contains(a)).collect();
        assert_eq!(found, ["http://"]);
        assert_eq!(
            text.matches("http://").count(),
            text.matches("xmlns=\"http://www.w3.org/2000/svg\"").count()
        );
        for said in [
            "<a href=\"#s0\">Pareto</a>",
            "<section id=\"s0\">",
            "<p>a &lt; b &amp; c</p>",
            "<td class=\"r\">20.8<small>20.1 to 21.5</small></td>",
            "Nothing yet",
        ] {
            assert!(text.contains(said), "{said}: {text}");
        }
        assert_eq!(text.matches("<style>").count(), 1);
    }
}
