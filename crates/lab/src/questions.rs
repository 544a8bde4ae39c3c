//! A table: every question of the paper's section 5, in its words, and the name of the experiment that answers it.
//!
//! "Gemma Scope: Open Sparse Autoencoders Everywhere All At Once on Gemma 2" (arXiv 2408.05147), section 5, quoted from
//! the second version; references in brackets are left out. Appendix B reports one finding that earlier work contradicts, quoted too. A question whose experiment is not in [`crate::EXPERIMENTS`] does not run yet.

use crate::experiment::{EXPERIMENTS, Experiment};

/// One open problem.
#[derive(Clone, Copy, Debug)]
pub struct Question {
    /// Its place: section and number.
    pub number: &'static str,
    /// The heading that it stands under.
    pub section: &'static str,
    /// Name of its experiment, `lapidary lab NAME`.
    pub name: &'static str,
    /// In the paper's words.
    pub text: &'static str,
}

impl Question {
    /// The experiment, if it runs.
    pub fn experiment(&self) -> Option<&'static Experiment> {
        EXPERIMENTS.iter().copied().find(|e| e.name == self.name)
    }
}

const UNDERSTANDING: &str = "Deepening our understanding of SAEs";
const TASKS: &str = "Using SAEs to improve performance on real-world tasks (compared to fair baselines)";
const RED: &str = "Red-teaming SAEs";
const CIRCUITS: &str = "Scalable circuit analysis: What interesting circuits can we find in these models?";
const TOOL: &str = "Using SAEs as a tool to answer existing questions in interpretability";
const IMPROVE: &str = "Improvements to SAEs";

macro_rules! questions {
    ($($section:ident $number:literal $name:literal $text:literal;)*) => {
        /// All, in the paper's order.
        pub const QUESTIONS: &[Question] =
            &[$(Question { number: $number, section: $section, name: $name, text: $text }),*];
    };
}

questions! {
    UNDERSTANDING "1.1" "structure" "Exploring the structure and relationships between SAE features";
    UNDERSTANDING "1.2" "match" "Comparisons of residual stream SAE features across layers, e.g. are there persistent features that one can \"match up\" across adjacent layers?";
    UNDERSTANDING "1.3" "splitting" "Better understanding the phenomenon of \"feature splitting\" where high-level features in a small SAE break apart into several finer-grained features in a wider SAE";
    UNDERSTANDING "1.4" "missing" "We know that SAEs introduce error, and completely miss out on some features that are captured by wider SAEs. Can we quantify and easily measure \"how much\" they miss and how much this matters in practice?";
    UNDERSTANDING "1.5" "interference" "How are circuits connecting up superposed features represented in the weights? How do models deal with the interference between features?";
    TASKS "2.1" "jailbreak" "Detecting or fixing jailbreaks";
    TASKS "2.2" "redteam" "Helping find new jailbreaks/red-teaming models";
    TASKS "2.3" "steering" "Comparing steering vectors to SAE feature steering or clamping";
    TASKS "2.4" "clean-vector" "Can SAEs be used to improve interpretability techniques, like steering vectors, such as by removing irrelevant features?";
    RED "3.1" "truth" "Do SAEs really find the \"true\" concepts in a model?";
    RED "3.2" "claims" "How robust are claims about the interpretability of SAE features?";
    RED "3.3" "proxies" "Can we find computable, quantitative measures that are a useful proxy for how \"interpretable\" humans think a feature vector is?";
    RED "3.4" "darkmatter" "Can we find the \"dark matter\" of truly non-linear features?";
    RED "3.5" "composition" "Do SAEs learn spurious compositions of independent features to improve sparsity as has been shown to happen in toy models, and can we fix this?";
    CIRCUITS "4.1" "addition" "What's the learned algorithm for addition in Gemma 2 2B?";
    CIRCUITS "4.2" "circuit" "How can we practically extend the SAE feature circuit finding algorithm in Marks et al. (2024) to larger models?";
    CIRCUITS "4.3" "weights-circuit" "Can we use SAE-like techniques such as MLP transcoders to find input independent, weights-based circuits?";
    TOOL "5.1" "diff" "What does finetuning do to a model's internals?";
    TOOL "5.2" "cot" "What is actually going on when a model uses chain of thought?";
    TOOL "5.3" "icl" "Is in-context learning true learning, or just promoting existing circuits?";
    TOOL "5.4" "organs" "Can we find any \"macroscopic structure\" in language models, e.g. families of features that work together to perform specialised roles, like organs in biological organisms?";
    TOOL "5.5" "heads" "Does attention head superposition occur in practice? E.g. are many attention features spread across several heads?";
    IMPROVE "6.1" "circles" "How can SAEs efficiently capture the circular features of Engels et al. (2024)?";
    IMPROVE "6.2" "crosslayer" "How can they deal efficiently with cross-layer superposition, i.e. features produced in superposition by neurons spread across multiple layers?";
    IMPROVE "6.3" "quant" "How much can SAEs be quantized without significant performance degradation, both for inference and training?";
    APPENDIX "B" "transcoder" "We find that transcoders cause a greater increase in loss to the base model relative to the MLP output SAEs, at a fixed sparsity (L0). This reverses the trend from GPT-2 Small found by Dunefsky et al. (2024).";
}

const APPENDIX: &str = "Appendix B: transcoders";

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn names_are_unique_and_every_experiment_answers_a_question() {
        let names: BTreeSet<&str> = QUESTIONS.iter().map(|q| q.name).collect();
        assert_eq!(names.len(), QUESTIONS.len());
        assert_eq!(QUESTIONS.len(), 26, "25 of section 5, and one of appendix B");
        assert!(EXPERIMENTS.iter().all(|e| names.contains(e.name)));
    }
}
