//! Finds which execution of one session corresponds to which of another.

use std::collections::BTreeMap;

use crate::session::model::Execution;

/// Sequences up to this product of lengths are aligned exactly; longer ones greedily, which is right for a replay
/// (its sequence is the recording's, perhaps cut short).
const EXACT: usize = 4_000_000;

/// Pairs (index in `a`, index in `b`) in rising order of `a`: same code in the same order first; what is left between
/// is paired by cell id, then by position. An execution of `a` without a counterpart has `None`.
pub(super) fn align(a: &[&Execution], b: &[&Execution]) -> Vec<Option<usize>> {
    let mut pairs: Vec<Option<usize>> = vec![None; a.len()];
    let prefix = a.iter().zip(b).take_while(|(a, b)| a.code == b.code).count();
    let left = (a.len() - prefix).min(b.len() - prefix);
    let suffix = a.iter().rev().zip(b.iter().rev()).take(left).take_while(|(a, b)| a.code == b.code).count();
    let middle_a = a.get(prefix..a.len() - suffix).unwrap_or_default();
    let middle_b = b.get(prefix..b.len() - suffix).unwrap_or_default();
    let mut set = |i: usize, j: usize| {
        if let Some(pair) = pairs.get_mut(i) {
            *pair = Some(j);
        }
    };
    for i in 0..prefix {
        set(i, i);
    }
    for i in 0..suffix {
        set(a.len() - 1 - i, b.len() - 1 - i);
    }
    let same = if middle_a.len().saturating_mul(middle_b.len()) <= EXACT {
        longest_common(middle_a, middle_b)
    } else {
        greedy(middle_a, middle_b)
    };
    for (i, j) in same {
        set(prefix + i, prefix + j);
    }
    pair_the_moved(a, b, &mut pairs);
    pair_the_rest(a, b, &mut pairs);
    pairs
}

/// The longest common subsequence by code.
fn longest_common(a: &[&Execution], b: &[&Execution]) -> Vec<(usize, usize)> {
    let width = b.len() + 1;
    let mut lengths = vec![0_u32; (a.len() + 1) * width];
    let at = |lengths: &[u32], i: usize, j: usize| lengths.get(i * width + j).copied().unwrap_or(0);
    for (i, x) in a.iter().enumerate().rev() {
        for (j, y) in b.iter().enumerate().rev() {
            let best = if x.code == y.code {
                at(&lengths, i + 1, j + 1) + 1
            } else {
                at(&lengths, i + 1, j).max(at(&lengths, i, j + 1))
            };
            if let Some(cell) = lengths.get_mut(i * width + j) {
                *cell = best;
            }
        }
    }
    let (mut i, mut j, mut pairs) = (0, 0, Vec::new());
    while let (Some(x), Some(y)) = (a.get(i), b.get(j)) {
        if x.code == y.code {
            pairs.push((i, j));
            (i, j) = (i + 1, j + 1);
        } else if at(&lengths, i + 1, j) >= at(&lengths, i, j + 1) {
            i += 1;
        } else {
            j += 1;
        }
    }
    pairs
}

fn greedy(a: &[&Execution], b: &[&Execution]) -> Vec<(usize, usize)> {
    let mut from = 0;
    let mut pairs = Vec::new();
    for (i, x) in a.iter().enumerate() {
        let found = b.iter().enumerate().skip(from).find(|(_, y)| y.code == x.code);
        if let Some((j, _)) = found {
            pairs.push((i, j));
            from = j + 1;
        }
    }
    pairs
}

/// Pairs the same code of the same cell where it ran at another place.
fn pair_the_moved(a: &[&Execution], b: &[&Execution], pairs: &mut [Option<usize>]) {
    let taken: std::collections::BTreeSet<usize> = pairs.iter().flatten().copied().collect();
    let mut free: Vec<usize> = (0..b.len()).filter(|j| !taken.contains(j)).collect();
    for (pair, x) in pairs.iter_mut().zip(a).filter(|(pair, _)| pair.is_none()) {
        let same = |j: &usize| b.get(*j).is_some_and(|y| y.code == x.code && !x.code.trim().is_empty());
        if let Some(at) = free.iter().position(same) {
            *pair = Some(free.remove(at));
        }
    }
}

/// Pairs what lies between two pairs: by cell id, then the n-th with the n-th.
fn pair_the_rest(a: &[&Execution], b: &[&Execution], pairs: &mut [Option<usize>]) {
    let mut gaps: Vec<(Vec<usize>, Vec<usize>)> = Vec::new();
    let (mut open, mut next) = (Vec::new(), 0);
    for (i, pair) in pairs.iter().enumerate() {
        match pair {
            None => open.push(i),
            // One that moved back lies in no gap.
            Some(j) if *j < next => {}
            Some(j) => {
                gaps.push((std::mem::take(&mut open), (next..*j).collect()));
                next = j + 1;
            }
        }
    }
    gaps.push((open, (next..b.len()).collect()));
    let taken: std::collections::BTreeSet<usize> = pairs.iter().flatten().copied().collect();
    for (mine, mut theirs) in gaps {
        theirs.retain(|j| !taken.contains(j));
        let by_cell: BTreeMap<&str, usize> =
            theirs.iter().filter_map(|j| Some((b.get(*j)?.cell_id.as_deref()?, *j))).collect();
        let mut unpaired = Vec::new();
        for i in mine {
            let cell = a.get(i).and_then(|x| x.cell_id.as_deref());
            let found = cell.and_then(|cell| by_cell.get(cell)).copied().filter(|j| theirs.contains(j));
            match (found, pairs.get_mut(i)) {
                (Some(j), Some(pair)) => {
                    *pair = Some(j);
                    theirs.retain(|other| *other != j);
                }
                _ => unpaired.push(i),
            }
        }
        for (i, j) in unpaired.into_iter().zip(theirs) {
            if let Some(pair) = pairs.get_mut(i) {
                *pair = Some(j);
            }
        }
    }
}
