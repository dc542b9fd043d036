//! Which of several differences change a result: found by trying, with as few replays as may be.
//!
//! Assumes what bisection always assumes: a set that changes the result goes on doing so when more is added
//! (QuickXplain, Junker 2004). Where two differences cancel each other out, one of them may be missed; whether the
//! named ones account for everything is looked at in the end.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

/// The differences that are swapped in, by number.
pub type Swapped = BTreeSet<usize>;

/// Cells that are not as without any swap, by number; empty: nothing changed.
pub type ChangedCells = Vec<usize>;

/// What was found.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize)]
pub struct Found {
    /// Smallest sets of differences that change something, each with the cells that it changes by itself.
    pub culprits: Vec<(Swapped, ChangedCells)>,
    /// The cells that change when everything is swapped.
    pub changed: ChangedCells,
    /// How many sets were tried.
    pub tried: usize,
}

/// Finds every smallest set of `count` differences that changes something.
///
/// `test` gives the cells that change when a set is swapped in; it is asked at most once for each set.
pub fn search<E>(count: usize, test: &mut dyn FnMut(&Swapped) -> Result<ChangedCells, E>) -> Result<Found, E> {
    let mut known = Known { answers: BTreeMap::from([(Swapped::new(), Vec::new())]), test };
    let all: Swapped = (0..count).collect();
    let mut found = Found { changed: known.ask(&all)?, ..Found::default() };
    let mut left = all;
    while !left.is_empty() && !known.ask(&left)?.is_empty() {
        let order: Vec<usize> = left.iter().copied().collect();
        let culprit: Swapped = smallest(&mut known, &Swapped::new(), false, &order)?.into_iter().collect();
        if culprit.is_empty() {
            break;
        }
        left = left.difference(&culprit).copied().collect();
        let cells = known.ask(&culprit)?;
        found.culprits.push((culprit, cells));
    }
    found.tried = known.answers.len() - 1;
    Ok(found)
}

struct Known<'a, E> {
    answers: BTreeMap<Swapped, ChangedCells>,
    test: &'a mut dyn FnMut(&Swapped) -> Result<ChangedCells, E>,
}

impl<E> Known<'_, E> {
    fn ask(&mut self, set: &Swapped) -> Result<ChangedCells, E> {
        if let Some(answer) = self.answers.get(set) {
            return Ok(answer.clone());
        }
        let answer = (self.test)(set)?;
        self.answers.insert(set.clone(), answer.clone());
        Ok(answer)
    }
}

/// The smallest part of `order` that changes something together with `background`, which grew just now if `grown`.
fn smallest<E>(known: &mut Known<'_, E>, background: &Swapped, grown: bool, order: &[usize]) -> Result<Vec<usize>, E> {
    if grown && !known.ask(background)?.is_empty() {
        return Ok(Vec::new());
    }
    if order.len() <= 1 {
        return Ok(order.to_vec());
    }
    let (left, right) = order.split_at(order.len() / 2);
    let with = |more: &[usize]| background.iter().chain(more).copied().collect::<Swapped>();
    let from_right = smallest(known, &with(left), !left.is_empty(), right)?;
    let from_left = smallest(known, &with(&from_right), !from_right.is_empty(), left)?;
    Ok(from_left.into_iter().chain(from_right).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Cells that change when the sets named are swapped in together.
    fn world(rules: &'static [(&'static [usize], usize)]) -> impl FnMut(&Swapped) -> Result<ChangedCells, ()> {
        move |set| {
            let holds = |needs: &&(&[usize], usize)| needs.0.iter().all(|one| set.contains(one));
            Ok(rules.iter().filter(holds).map(|(_, cell)| *cell).collect())
        }
    }

    fn named(count: usize, rules: &'static [(&'static [usize], usize)]) -> (Vec<Vec<usize>>, usize) {
        let found = search(count, &mut world(rules)).unwrap();
        (found.culprits.iter().map(|(set, _)| set.iter().copied().collect()).collect(), found.tried)
    }

    #[test]
    fn one_of_many_is_found_in_few_tries() {
        let (culprits, tried) = named(64, &[(&[37], 2)]);
        assert_eq!(culprits, [vec![37]]);
        assert!(tried <= 16, "{tried}");
    }

    #[test]
    fn two_that_act_alone_are_both_named_and_two_that_act_together_are_one() {
        let (mut culprits, _) = named(20, &[(&[3], 1), (&[17], 2)]);
        culprits.sort();
        assert_eq!(culprits, [vec![3], vec![17]]);
        assert_eq!(named(20, &[(&[3, 17], 1)]).0, [vec![3, 17]]);
    }

    #[test]
    fn nothing_that_matters_is_one_try() {
        assert_eq!(named(50, &[]), (vec![], 1));
        assert_eq!(named(0, &[]), (vec![], 0));
    }
}
