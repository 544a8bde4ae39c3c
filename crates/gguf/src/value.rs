//! What the metadata of a file can be.

/// The value of a key. Numbers are widened, so that nobody has to know in which of ten types a writer put them.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// A whole number.
    Integer(i64),
    /// A floating-point number.
    Float(f64),
    /// True or false.
    Bool(bool),
    /// A text.
    Text(String),
    /// A list of whole numbers.
    Integers(Vec<i64>),
    /// A list of floating-point numbers.
    Floats(Vec<f64>),
    /// A list of truth values.
    Bools(Vec<bool>),
    /// A list of texts.
    Texts(Vec<String>),
}

impl Value {
    /// What it is, for a message.
    pub fn kind(&self) -> &'static str {
        match self {
            Value::Integer(_) => "a whole number",
            Value::Float(_) => "a number",
            Value::Bool(_) => "a truth value",
            Value::Text(_) => "a text",
            Value::Integers(_) => "a list of whole numbers",
            Value::Floats(_) => "a list of numbers",
            Value::Bools(_) => "a list of truth values",
            Value::Texts(_) => "a list of texts",
        }
    }
}
