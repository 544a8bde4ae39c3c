//! What is true of the rows of a text, as far as it is labelled: yes/no questions, the rows of each, and the document of every row.

use crate::truth::Truth;

/// Labels of N rows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Labels {
    /// Names [V].
    pub names: Vec<String>,
    /// Rows in which each is on, ascending [V].
    pub rows: Vec<Vec<u32>>,
    /// Document of each row [N]; the rows of a document are consecutive.
    pub documents: Vec<u32>,
}

impl Labels {
    /// Of a truth: all indicators, in its order.
    pub fn of(truth: &Truth) -> Labels {
        let mut rows = vec![Vec::new(); truth.indicators.len()];
        for n in 0..truth.rows() {
            truth.row(n).iter().for_each(|&v| rows[v as usize].push(n as u32));
        }
        Labels { names: truth.indicators.clone(), rows, documents: truth.documents.clone() }
    }

    /// Those that are on in `least` rows or more and off in as many, on both sides of `is_fitted` [N]; the rest says little.
    pub fn with_enough(&self, is_fitted: &[bool], least: usize) -> Labels {
        let sides = |rows: &[u32]| {
            let fitted = rows.iter().filter(|&&n| is_fitted[n as usize]).count();
            [fitted, rows.len() - fitted]
        };
        let fitted = is_fitted.iter().filter(|f| **f).count();
        let all = [fitted, is_fitted.len() - fitted];
        let enough =
            |rows: &[u32]| sides(rows).into_iter().zip(all).all(|(on, all)| on >= least && all - on >= least);
        let keep: Vec<usize> = (0..self.names.len()).filter(|&v| enough(&self.rows[v])).collect();
        Labels {
            names: keep.iter().map(|&v| self.names[v].clone()).collect(),
            rows: keep.iter().map(|&v| self.rows[v].clone()).collect(),
            documents: self.documents.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two halves of three rows: x is on in two of the first and one of the second; y in none of the second; z everywhere.
    #[test]
    fn rare_on_either_side_is_left_out() {
        let labels = Labels {
            names: ["x", "y", "z"].map(String::from).to_vec(),
            rows: vec![vec![0, 1, 4], vec![0, 1], vec![0, 1, 2, 3, 4, 5]],
            documents: vec![0, 0, 0, 1, 1, 1],
        };
        let is_fitted = [true, true, true, false, false, false];
        assert_eq!(labels.with_enough(&is_fitted, 1).names, ["x"]);
        assert_eq!(labels.with_enough(&is_fitted, 2).names, [] as [&str; 0]);
        assert_eq!(labels.with_enough(&is_fitted, 0).names, ["x", "y", "z"]);
    }
}
