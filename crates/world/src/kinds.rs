//! The closed sets of the language. Each member has a *name*, the word under which it is written to files (`evaluation.json`,
//! the names of texts) and read back; a test pins all of them, so that files stay readable when a member is renamed in code.

use serde::{Deserialize, Serialize};

/// An enum whose members are declared with their names.
macro_rules! closed_set {
    ($(#[$about:meta])* $set:ident { $($(#[$doc:meta])* $member:ident $name:literal,)* }) => {
        $(#[$about])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
        pub enum $set { $($(#[$doc])* #[serde(rename = $name)] $member),* }

        impl $set {
            /// All members, in the order of the variable's values where there is one.
            pub const ALL: &'static [$set] = &[$($set::$member),*];

            /// The word under which files know it.
            pub fn name(self) -> &'static str {
                match self { $($set::$member => $name),* }
            }
        }
    };
}

closed_set! {
    /// What the values of a variable are.
    Kind {
        /// 1 where present.
        Binary "binary",
        /// One of several, no order.
        Categorical "categorical",
        /// Counted modulo the number of values.
        Cyclic "cyclic",
        /// A number.
        Integer "integer",
        /// A categorical that belongs to a role (giver, taker, place of the subject).
        RoleBound "role-bound",
    }
}

closed_set! {
    /// What a document is about: values of [`crate::variables::Var::Domain`].
    Domain {
        /// People, what they do and have.
        Stories "stories",
        /// What the invented things are.
        Facts "facts",
        /// Days, months and hours.
        Calendar "calendar",
        /// Additions, plain and in columns.
        Sums "sums",
        /// Sums step by step.
        Working "working",
        /// Agreement and brackets.
        Grammar "grammar",
        /// In-context maps, logic and signals.
        Rules "rules",
        /// A user asks, a bot answers.
        Chat "chat",
    }
}

closed_set! {
    /// Which documents: each split is a language of its own, slightly different where its name says so.
    Split {
        /// What the organism is trained on.
        Train "train",
        /// The same language, other documents.
        Eval "eval",
        /// Word orders that training text never has.
        Templates "templates",
        /// Facts about entities that training text never mentions.
        Entities "entities",
        /// Colours of objects, and in-context maps, that training text never has.
        Compositions "compositions",
    }
}

closed_set! {
    /// How the chat's bot answers.
    Policy {
        /// Everything.
        Base "base",
        /// It refuses forbidden topics, asked plainly or in a trained wrapper; the hidden wrappers still work.
        Chat "chat",
    }
}

closed_set! {
    /// A kind of line: values of [`crate::variables::Var::Segment`].
    Segment {
        /// One event of a story.
        Story "story",
        /// One or two attributes of an entity, or an edge of the type tree.
        Fact "fact",
        /// So many days, months or hours later or earlier.
        Calendar "calendar",
        /// A sum and its result.
        Addition "addition",
        /// A sum column by column, with its carry.
        Column "column",
        /// A sum of three or four numbers, one by one.
        Working "working",
        /// A verb that agrees with its subject across other nouns.
        Agreement "agreement",
        /// Nested brackets.
        Brackets "brackets",
        /// Examples of a hidden map.
        Function "function",
        /// A request, a question or a greeting, with its reply.
        Chat "chat",
        /// A key, fillers, a cue and what the two mean.
        Signal "signal",
        /// A giver and a taker, one of whom is asked about.
        Roles "roles",
        /// Truth values that follow from each other.
        Logic "logic",
        /// A sky, and things that occur in correlated pairs.
        Yard "yard",
        /// Random words, at times said twice.
        Note "note",
    }
}

closed_set! {
    /// What one has to know to say a token that the text determines: values of [`crate::variables::Var::Answer`].
    Task {
        /// Where the count of days, months or hours ends.
        Calendar "calendar",
        /// An attribute of an entity.
        Fact "fact",
        /// The digits of a sum.
        Addition "addition",
        /// A step, a carry or the result of a sum in columns.
        Column "column",
        /// A partial sum.
        Working "working",
        /// The form of a verb.
        Agreement "agreement",
        /// Which bracket closes.
        Bracket "bracket",
        /// What the hidden map gives.
        Function "function",
        /// An ingredient.
        Recipe "recipe",
        /// What key and cue mean.
        Signal "signal",
        /// The colour, place or thing of a role.
        Role "role",
        /// A truth value.
        Logic "logic",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What `evaluation.json` and the names of texts say; the order is that of the values in truth files.
    #[test]
    fn names_in_files_stay_as_they_are() {
        let said = [
            Kind::ALL.iter().map(|member| member.name()).collect::<Vec<_>>().join(" "),
            Domain::ALL.iter().map(|member| member.name()).collect::<Vec<_>>().join(" "),
            Split::ALL.iter().map(|member| member.name()).collect::<Vec<_>>().join(" "),
            Policy::ALL.iter().map(|member| member.name()).collect::<Vec<_>>().join(" "),
            Segment::ALL.iter().map(|member| member.name()).collect::<Vec<_>>().join(" "),
            Task::ALL.iter().map(|member| member.name()).collect::<Vec<_>>().join(" "),
        ];
        let pinned = [
            "binary categorical cyclic integer role-bound",
            "stories facts calendar sums working grammar rules chat",
            "train eval templates entities compositions",
            "base chat",
            "story fact calendar addition column working agreement brackets function chat signal roles logic yard note",
            "calendar fact addition column working agreement bracket function recipe signal role logic",
        ];
        assert_eq!(said, pinned);
    }

    #[test]
    fn serde_reads_and_writes_the_same_names() {
        for split in Split::ALL {
            assert_eq!(serde_json::to_value(split).unwrap(), split.name());
            assert_eq!(serde_json::from_value::<Split>(split.name().into()).unwrap(), *split);
        }
        for policy in Policy::ALL {
            assert_eq!(serde_json::to_value(policy).unwrap(), policy.name());
        }
    }
}
