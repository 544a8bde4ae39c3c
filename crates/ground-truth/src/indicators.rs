//! The truth about a text of the ground-truth language, as yes/no questions about each of its rows.

use lapidary_catalog::World;
use lapidary_evaluation::truth::Truth;
use lapidary_lm::Spec;
use lapidary_text::Corpus;
use lapidary_world::{Kind, Mark, variables};

/// What is true of every row of a corpus that [`lapidary_catalog::Text::corpus`] made of this text, in the order of its windows.
pub fn truth(world: &World, corpus: &Corpus, spec: &Spec) -> Truth {
    let indicators = Indicators::new();
    let mut truth = Truth {
        indicators: indicators.names.clone(),
        starts: vec![0],
        on: Vec::new(),
        documents: Vec::new(),
        tokens: Vec::new(),
    };
    let mut sample = (u32::MAX, None);
    for window in &corpus.windows {
        if sample.0 != window.doc {
            sample = (window.doc, Some(world.corpus.sample(u64::from(window.doc))));
        }
        let sample = sample.1.as_ref().expect("it was just made");
        for position in window.row_positions(spec) {
            let token = window.document_position(position, spec) as usize;
            let mut on: Vec<u32> = sample.at(token).iter().filter_map(|m| indicators.of(m)).collect();
            on.sort_unstable();
            truth.on.extend(on);
            truth.starts.push(truth.on.len());
            truth.documents.push(window.doc);
            truth.tokens.push(u32::from(sample.tokens[token]));
        }
    }
    truth
}

/// Yes/no questions about a token, one per (variable, value).
struct Indicators {
    names: Vec<String>,
    /// First indicator of each variable and whether it is binary: then only value 1 has one.
    first: Vec<(u32, bool)>,
}

impl Indicators {
    fn new() -> Indicators {
        let (mut names, mut first) = (Vec::new(), Vec::new());
        for variable in variables::table() {
            let binary = variable.kind == Kind::Binary;
            first.push((names.len() as u32, binary));
            if binary {
                names.push(variable.name);
            } else {
                let value = |v| format!("{} = {}", variable.name, variables::value_name(variable.id, v));
                names.extend((0..variable.values).map(value));
            }
        }
        Indicators { names, first }
    }

    fn of(&self, mark: &Mark) -> Option<u32> {
        match self.first[usize::from(mark.variable)] {
            (first, true) => (mark.value == 1).then_some(first),
            (first, false) => Some(first + u32::from(mark.value)),
        }
    }
}
