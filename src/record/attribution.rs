//! To which execution belongs what was seen: by its time, and by who did it.
//!
//! What the kernel does itself, and what was there before the first execution (a shell that a kernel drives, its own
//! threads), belongs to the execution in whose time it falls. A thread or process that was started *in* an execution goes on
//! working for that one: when it is over, and while another one runs. Except when it was seen to wait for a word, without
//! a limit in time, at the beginning of that other one: only somebody's word can have woken it, so it is a worker, and
//! works for who runs. What cannot be told belongs to no execution.

use std::collections::{BTreeMap, HashMap, HashSet};

use crate::event::{Nanos, ProcessStart, ThreadStart};

/// Messages are never later than this behind the file events of the same moment.
pub(super) const PATIENCE: Nanos = 2_000_000_000;
/// Linux tells when a thread was started in steps of this.
const STEP: Nanos = 10_000_000;
/// A program's exec that is later than this was not waited for.
const SLOWEST_EXEC: Nanos = 1_000_000_000;
/// More threads than this are not remembered: those that were met first are forgotten, and looked at anew.
const MANY: usize = 16_384;

/// One execution's time; open while it runs.
#[derive(Clone, Debug)]
struct Span {
    execution: i64,
    busy: Nanos,
    idle: Option<Nanos>,
    /// It runs in a thread of its own, beside the others.
    subshell: bool,
    /// The threads that waited for a word when it began.
    waiting: HashSet<u32>,
}

/// When a thread of a process was started: not before `first`, not after `last`.
#[derive(Clone, Copy, Debug)]
struct Started {
    pid: u32,
    first: Nanos,
    last: Nanos,
}

/// For whom a thread or process works.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Origin {
    /// For whatever runs: it was started in no execution.
    Kernel,
    /// For the one that started it.
    Execution(i64),
    /// Two executions could have started it.
    Unclear,
}

/// Knows the times of executions, and who was started in them.
#[derive(Debug, Default)]
pub(super) struct Attribution {
    /// Those into whose time events may still fall.
    spans: Vec<Span>,
    /// Beginning, end and number of all.
    times: BTreeMap<(Nanos, i64), Nanos>,
    threads: HashMap<u32, Started>,
    /// Of each process that was met.
    processes: HashMap<u32, Origin>,
    /// Who waited when the last execution had ended.
    waiting: HashSet<u32>,
    /// Events that fell into more than one execution.
    pub(super) ambiguous: u64,
}

impl Attribution {
    /// An execution began.
    pub(super) fn busy(&mut self, execution: i64, at: Nanos, subshell: bool, all_told: bool) {
        // What was read between two executions, and the uses of long finished ones, need no span any more.
        if all_told {
            self.spans.retain(|span| span.idle.is_none_or(|idle| idle.saturating_add(PATIENCE) > at));
        }
        let waiting = std::mem::take(&mut self.waiting);
        self.times.insert((at, execution), Nanos::MAX);
        self.spans.push(Span { execution, busy: at, idle: None, subshell, waiting });
    }

    /// An execution ended.
    pub(super) fn idle(&mut self, execution: i64, at: Nanos) {
        self.waiting.clear();
        if let Some(span) = self.spans.iter_mut().find(|span| span.execution == execution) {
            span.idle = Some(at);
            self.times.insert((span.busy, execution), at);
        }
    }

    /// Nothing runs any more.
    pub(super) fn end(&mut self) {
        for span in self.spans.iter_mut().filter(|span| span.idle.is_none()) {
            span.idle = Some(Nanos::MAX);
        }
    }

    /// These threads wait for a word now: between two executions, or when one has just begun.
    pub(super) fn waiting(&mut self, tids: Vec<u32>) {
        match self.spans.last_mut().filter(|span| span.idle.is_none()) {
            Some(span) => span.waiting.extend(tids),
            None => self.waiting.extend(tids),
        }
    }

    /// Whether an execution runs.
    pub(super) fn is_open(&self) -> bool {
        self.spans.iter().any(|span| span.idle.is_none())
    }

    /// The executions that run.
    pub(super) fn open(&self) -> Vec<i64> {
        self.spans.iter().filter(|span| span.idle.is_none()).map(|span| span.execution).collect()
    }

    /// When the last one ended.
    pub(super) fn last_idle(&self) -> Nanos {
        self.spans.iter().filter_map(|span| span.idle).max().unwrap_or(0)
    }

    /// A thread was met.
    pub(super) fn thread(&mut self, thread: &ThreadStart) {
        if self.threads.len() >= MANY {
            self.threads.clear();
        }
        // It was there when it was seen.
        let last = thread.at.clamp(thread.started, thread.started.saturating_add(STEP));
        let mut met = Started { pid: thread.pid, first: thread.started, last };
        // Whoever met it sooner knows better: another reader of the machine's clock is off by less than a step.
        if let Some(before) = self.threads.get(&thread.tid)
            && before.pid == met.pid
            && before.first.abs_diff(met.first) < STEP.unsigned_abs() / 2
        {
            met.last = met.last.min(before.last);
        }
        self.threads.insert(thread.tid, met);
    }

    /// A process was met; gives the execution that started it.
    pub(super) fn process(&mut self, start: &ProcessStart) -> Option<i64> {
        let (first, last) = self.threads.get(&start.pid).map_or((start.at, start.at), |it| (it.first, it.last));
        let origin = match self.processes.get(&start.ppid) {
            Some(Origin::Kernel) | None => match self.started_between(first, last) {
                // Whoever starts a program waits for its exec.
                Origin::Unclear if last == start.at || (start.exec && start.at.saturating_sub(last) < SLOWEST_EXEC) => {
                    self.started_between(start.at, start.at)
                }
                origin => origin,
            },
            // Children of a worker work for whom it worked then.
            Some(_) => match self.execution_of(start.at, start.ppid, start.ppid) {
                Some(execution) => Origin::Execution(execution),
                None => Origin::Unclear,
            },
        };
        self.processes.insert(start.pid, origin);
        match origin {
            Origin::Execution(execution) => Some(execution),
            Origin::Kernel | Origin::Unclear => None,
        }
    }

    /// A process that an earlier recorder met.
    pub(super) fn known_process(&mut self, pid: u32, execution: Option<i64>) {
        self.processes.insert(pid, execution.map_or(Origin::Kernel, Origin::Execution));
    }

    /// An execution that an earlier recorder saw.
    pub(super) fn known_execution(&mut self, execution: i64, busy: Nanos, idle: Option<Nanos>) {
        self.times.insert((busy, execution), idle.unwrap_or(Nanos::MAX));
        self.spans.push(Span { execution, busy, idle, subshell: false, waiting: HashSet::new() });
    }

    /// The execution in whose time this falls, if it is not `than` and that one was over.
    pub(super) fn later(&self, at: Nanos, than: i64) -> Option<i64> {
        let over = self.times.iter().any(|((_, execution), idle)| *execution == than && *idle < at);
        let mut found = self.times.range(..=(at, i64::MAX)).rev().take(8).filter(|(_, idle)| **idle >= at);
        match (found.next(), found.next()) {
            (Some(((_, execution), _)), None) if over => Some(*execution),
            _ => None,
        }
    }

    /// In which execution something was started between these times.
    fn started_between(&self, first: Nanos, last: Nanos) -> Origin {
        // Executions of one kernel hardly overlap: of those that began before, the last few are enough.
        let mut found = self.times.range(..=(last, i64::MAX)).rev().take(8).filter(|(_, idle)| **idle >= first);
        match (found.next(), found.next()) {
            (None, _) => Origin::Kernel,
            (Some(((_, execution), _)), None) => Origin::Execution(*execution),
            (Some(_), Some(_)) => Origin::Unclear,
        }
    }

    fn origin(&self, pid: u32, tid: u32) -> Origin {
        match self.processes.get(&pid).copied().unwrap_or(Origin::Kernel) {
            // Of what was there before the first execution, the first thread does what the executions ask for.
            Origin::Kernel if tid != pid => match self.threads.get(&tid) {
                Some(started) if started.pid == pid => self.started_between(started.first, started.last),
                _ => Origin::Kernel,
            },
            origin => origin,
        }
    }

    /// The execution to which belongs what this thread did at this time; `None`: none, or it cannot be told.
    pub(super) fn execution_of(&mut self, at: Nanos, pid: u32, tid: u32) -> Option<i64> {
        let origin = self.origin(pid, tid);
        let mut fitting = self.spans.iter().filter(|span| span.busy <= at && span.idle.is_none_or(|idle| at <= idle));
        let (first, second) = (fitting.next(), fitting.next());
        match (origin, first, second) {
            (_, Some(_), Some(_)) => {
                self.ambiguous += 1;
                None
            }
            (Origin::Kernel, Some(running), None) => Some(running.execution),
            (Origin::Kernel | Origin::Unclear, ..) => None,
            // The thread of a subshell was started while another one ran.
            (Origin::Execution(_), Some(running), None) if running.subshell || running.waiting.contains(&tid) => {
                Some(running.execution)
            }
            (Origin::Execution(starter), ..) => Some(starter),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Nanos = 1_000_000_000;

    /// Executions 1 (10 to 12 s) and 2 (20 to 22 s), a kernel (7) that was there before.
    fn two_cells(waiting: &[u32]) -> Attribution {
        let mut all = Attribution::default();
        all.process(&process(7, 1, 0));
        all.busy(1, 10 * SECOND, false, true);
        all.idle(1, 12 * SECOND);
        all.waiting(waiting.to_vec());
        all.busy(2, 20 * SECOND, false, false);
        all.idle(2, 22 * SECOND);
        all
    }

    fn thread(pid: u32, tid: u32, started: Nanos) -> ThreadStart {
        ThreadStart { at: started, pid, tid, started }
    }

    fn process(pid: u32, ppid: u32, at: Nanos) -> ProcessStart {
        ProcessStart { at, pid, ppid, exe: Vec::new(), argv: Vec::new(), exec: false }
    }

    #[test]
    fn what_an_execution_started_belongs_to_it_and_a_worker_to_who_runs() {
        let mut all = two_cells(&[72]);
        all.thread(&thread(7, 71, 11 * SECOND));
        all.thread(&thread(7, 72, 11 * SECOND));
        all.thread(&thread(7, 70, SECOND));
        all.thread(&thread(7, 73, 15 * SECOND));
        for (tid, in_one, between, in_two) in [
            (7, Some(1), None, Some(2)),
            // A thread of its own; one that waited; one that was there before; one that was started in no execution.
            (71, Some(1), Some(1), Some(1)),
            (72, Some(1), Some(1), Some(2)),
            (70, Some(1), None, Some(2)),
            (73, Some(1), None, Some(2)),
        ] {
            let of = [11, 15, 21].map(|at| all.execution_of(at * SECOND, 7, tid));
            assert_eq!(of, [in_one, between, in_two], "thread {tid}");
        }
    }

    #[test]
    fn processes_belong_to_who_started_them_and_so_do_their_children() {
        let mut all = two_cells(&[90]);
        // A shell that the kernel drives was there before.
        assert_eq!(all.process(&process(8, 7, SECOND)), None);
        assert_eq!(all.process(&process(80, 8, 11 * SECOND)), Some(1));
        assert_eq!(all.execution_of(21 * SECOND, 8, 8), Some(2));
        assert_eq!(all.execution_of(21 * SECOND, 80, 80), Some(1));
        assert_eq!(all.process(&process(81, 80, 21 * SECOND)), Some(1));
        // A pool's process that waited, and what it starts.
        assert_eq!(all.process(&process(90, 7, 11 * SECOND)), Some(1));
        assert_eq!(all.process(&process(91, 90, 21 * SECOND)), Some(2));
        assert_eq!(all.execution_of(21 * SECOND, 90, 90), Some(2));
        assert_eq!(all.execution_of(15 * SECOND, 90, 90), Some(1));
    }

    #[test]
    fn a_time_after_an_execution_may_be_that_of_another() {
        let all = two_cells(&[]);
        let later = [11, 15, 21, 23].map(|at| all.later(at * SECOND, 1));
        assert_eq!(later, [None, None, Some(2), None]);
        assert_eq!(all.later(11 * SECOND, 2), None);
    }

    #[test]
    fn what_cannot_be_told_belongs_to_nobody() {
        let mut all = two_cells(&[]);
        all.busy(3, 22 * SECOND + STEP / 2, false, false);
        // Within one step both ran.
        let started = 22 * SECOND - STEP / 4;
        all.thread(&ThreadStart { at: 22 * SECOND + STEP, ..thread(7, 74, started) });
        assert_eq!(all.execution_of(23 * SECOND, 7, 74), None);
        // This one was seen before the second began.
        all.thread(&ThreadStart { at: started + STEP / 8, ..thread(7, 76, started) });
        assert_eq!(all.execution_of(23 * SECOND, 7, 76), Some(2));
        // Nor does it matter that it was seen once more later.
        all.thread(&ThreadStart { at: 23 * SECOND, ..thread(7, 76, started + STEP / 100) });
        assert_eq!(all.execution_of(23 * SECOND, 7, 76), Some(2));
        // A process that was seen within the step belongs to the one that ran then; seen later, it cannot be told.
        for (pid, at, of) in [(77, started + STEP * 9 / 10, Some(3)), (78, 22 * SECOND + STEP, None)] {
            all.thread(&ThreadStart { at, ..thread(pid, pid, started) });
            assert_eq!(all.process(&process(pid, 7, at)), of);
        }
        // A slow machine's exec: the kernel waited for it. So late as this one, nobody did.
        for (pid, late, of) in [(79, 5 * STEP, Some(3)), (80, 2 * SECOND, None)] {
            all.thread(&ThreadStart { at: started + late, ..thread(pid, pid, started) });
            assert_eq!(all.process(&ProcessStart { exec: true, ..process(pid, 7, started + late) }), of);
        }
        all.busy(4, 24 * SECOND, true, false);
        assert_eq!(all.execution_of(25 * SECOND, 7, 7), None);
        assert_eq!(all.ambiguous, 1);
        // A subshell's thread is older than its executions.
        all.idle(3, 26 * SECOND);
        all.thread(&thread(7, 75, 23 * SECOND));
        assert_eq!(all.execution_of(27 * SECOND, 7, 75), Some(4));
    }
}
