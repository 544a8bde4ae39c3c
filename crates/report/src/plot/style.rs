//! Colours, shapes and dashes. Light unless the reader's screen is dark; colours from Okabe and Ito (2008), lighter on dark.

use super::Tone;

/// The rules of every picture; all under `.plot`.
pub const STYLE: &str = "\
.plot{font-family:system-ui,-apple-system,'Segoe UI',Roboto,'DejaVu Sans',sans-serif;font-size:13px}
.plot text{fill:#24292f}.plot .title{font-size:15px;font-weight:600}.plot .faint{fill:#57606a}
.plot .paper{fill:#fff}.plot .grid{stroke:#e3e6ea}.plot .minor{stroke:#f1f2f4}.plot .frame{stroke:#8c959f}
.plot .c0{color:#0072b2}.plot .c1{color:#d55e00}.plot .c2{color:#008a64}.plot .c3{color:#b8578f}.plot .c4{color:#c88400}
.plot .c5{color:#3a9bdc}.plot .c6{color:#5e4fa2}.plot .grey{color:#8b9198}
@media screen and (prefers-color-scheme:dark){
.plot text{fill:#e6edf3}.plot .faint{fill:#9aa4af}
.plot .paper{fill:#14181d}.plot .grid{stroke:#2d333b}.plot .minor{stroke:#21262d}.plot .frame{stroke:#6e7681}
.plot .c0{color:#4aa8e0}.plot .c1{color:#ff8a3d}.plot .c2{color:#2cc498}.plot .c3{color:#e39ac4}.plot .c4{color:#f0b429}
.plot .c5{color:#8ccbf5}.plot .c6{color:#a79be8}.plot .grey{color:#8b939c}
}
";

const COLOURS: usize = 7;
/// Lines of a series: whole, then dashes; as many as there are shapes.
const DASHES: [&str; 5] = ["", "6 3", "2 3", "9 3 2 3", "4 2"];

impl Tone {
    pub(super) fn class(self) -> String {
        match self {
            Tone::Colour(n) => format!("c{}", n % COLOURS),
            Tone::Grey(_) => "grey".into(),
        }
    }

    /// Of dashes and shape: they begin with another when they begin again, since the colours that are alike are five apart.
    fn form(self) -> usize {
        let (Tone::Colour(n) | Tone::Grey(n)) = self;
        (n + n / DASHES.len()) % DASHES.len()
    }

    /// ` stroke-dasharray="…"`, or nothing.
    pub(super) fn dashes(self) -> String {
        match DASHES[self.form()] {
            "" => String::new(),
            dashes => format!(" stroke-dasharray=\"{dashes}\""),
        }
    }

    /// A small shape about a place: disc, square, triangle, diamond, or triangle on its head.
    pub(super) fn shape(self, x: f64, y: f64) -> String {
        let corners: &[(f64, f64)] = match self.form() {
            0 => return format!("<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"3.6\" fill=\"currentColor\"/>"),
            1 => &[(-3.3, -3.3), (3.3, -3.3), (3.3, 3.3), (-3.3, 3.3)],
            2 => &[(0.0, -4.6), (4.2, 3.1), (-4.2, 3.1)],
            3 => &[(0.0, -4.9), (4.3, 0.0), (0.0, 4.9), (-4.3, 0.0)],
            _ => &[(0.0, 4.6), (4.2, -3.1), (-4.2, -3.1)],
        };
        let corners: Vec<String> =
            corners.iter().map(|(dx, dy)| format!("{:.1},{:.1}", x + dx, y + dy)).collect();
        format!("<polygon points=\"{}\" fill=\"currentColor\"/>", corners.join(" "))
    }
}
