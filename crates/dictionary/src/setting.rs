//! How sparse a dictionary was asked to be: what tells the dictionaries of one site and width apart.

/// How sparse a dictionary was asked to be.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Setting {
    /// By this sparsity coefficient.
    Lambda(f64),
    /// So many active features per row.
    L0(f64),
}

impl std::fmt::Display for Setting {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Setting::Lambda(lambda) => write!(f, "λ {lambda}"),
            Setting::L0(l0) => write!(f, "L0 {l0}"),
        }
    }
}
