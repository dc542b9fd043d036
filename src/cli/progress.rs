//! Progress on stderr: a line that is replaced on a terminal, nothing elsewhere.

use std::{
    io::Write as _,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use indicatif::{ProgressBar, ProgressStyle};
use serde_json::{Value, json};

use super::Context;

/// See [`Context::lines`].
pub(super) const VARIABLE: &str = "NBPACK_PROGRESS";
/// The value of [`VARIABLE`] that asks for lines.
pub(super) const LINES: &str = "lines";
/// Nobody reads faster.
const LINE_TIME: Duration = Duration::from_millis(150);

/// One progress line. Silent when stderr is no terminal, with `--quiet`, `NO_COLOR` or a dumb terminal.
#[derive(Debug)]
pub(super) struct Progress {
    bar: Mutex<ProgressBar>,
    fancy: bool,
    lines: bool,
}

impl Progress {
    pub(super) fn new(fancy: bool) -> Self {
        Self { bar: Mutex::new(if fancy { spinner() } else { ProgressBar::hidden() }), fancy, lines: false }
    }

    /// As it is wanted: on a terminal, as lines of JSON for the program that started us, or not at all.
    pub(super) fn of(context: &Context) -> Self {
        Self { lines: context.lines, ..Self::new(context.fancy) }
    }

    /// Says what is being done now, where the amount is not known.
    pub(super) fn stage(&self, text: &str) {
        if self.lines {
            // Whoever started us and has gone is noticed when bytes are counted.
            line(&json!({"text": text}));
        }
        let bar = self.lock();
        bar.set_message(text.to_owned());
        bar.tick();
    }

    /// Removes the line.
    pub(super) fn clear(&self) {
        self.lock().finish_and_clear();
    }

    fn lock(&self) -> MutexGuard<'_, ProgressBar> {
        // A panic elsewhere must not hide the progress of this thread.
        self.bar.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A bar for work on `total` bytes.
    pub(super) fn packing(&self, total: u64) -> Packing {
        let mut bar = self.lock();
        bar.finish_and_clear();
        if self.fancy {
            let style = ProgressStyle::with_template("{msg:28!} [{bar:24}] {bytes:>9}/{total_bytes} {eta:>4}");
            *bar = ProgressBar::new(total)
                .with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()).progress_chars("=> "));
        }
        Packing { bar: bar.clone(), lines: self.lines.then(|| Lines::new(total)) }
    }
}

/// Writes `{"progress": …}`; whether somebody may have read it.
fn line(value: &Value) -> bool {
    writeln!(std::io::stderr().lock(), "{}", json!({"progress": value})).is_ok()
}

/// What has been done of how many bytes, said from time to time.
#[derive(Debug)]
struct Lines {
    total: u64,
    done: AtomicU64,
    said: Mutex<(Instant, String)>,
    broken: AtomicBool,
}

impl Lines {
    fn new(total: u64) -> Self {
        let said = Mutex::new((Instant::now(), String::new()));
        Self { total, done: AtomicU64::new(0), said, broken: AtomicBool::new(false) }
    }

    fn say(&self, title: Option<&str>) {
        let mut said = self.said.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(title) = title {
            title.clone_into(&mut said.1);
        }
        if said.0.elapsed() >= LINE_TIME {
            said.0 = Instant::now();
            let done = self.done.load(Ordering::Relaxed);
            if !line(&json!({"text": said.1, "done": done, "total": self.total})) {
                self.broken.store(true, Ordering::Relaxed);
            }
        }
    }
}

/// The bar of [`Progress::packing`]; [`Progress::clear`] removes it.
#[derive(Debug)]
pub(super) struct Packing {
    bar: ProgressBar,
    lines: Option<Lines>,
}

impl crate::bundle::Progress for Packing {
    fn layer(&self, _index: usize, _total: usize, title: &str, _reused: bool) {
        self.bar.set_message(title.to_owned());
        if let Some(lines) = &self.lines {
            lines.say(Some(title));
        }
    }

    fn bytes(&self, count: u64) {
        self.bar.inc(count);
        if let Some(lines) = &self.lines {
            lines.done.fetch_add(count, Ordering::Relaxed);
            lines.say(None);
        }
    }

    fn cancelled(&self) -> bool {
        // Nobody waits for it any more.
        self.lines.as_ref().is_some_and(|lines| lines.broken.load(Ordering::Relaxed))
    }
}

fn spinner() -> ProgressBar {
    let bar = ProgressBar::new_spinner();
    bar.enable_steady_tick(std::time::Duration::from_millis(120));
    bar
}

/// A number of bytes as a person reads it: `12.3 MB` (powers of ten, as `ls -h --si` and Docker do).
pub(super) fn bytes(n: u64) -> String {
    let mut value = n as f64;
    for unit in ["B", "kB", "MB", "GB"] {
        if value < 999.5 {
            return if unit == "B" { format!("{n} B") } else { format!("{value:.1} {unit}") };
        }
        value /= 1000.0;
    }
    format!("{value:.1} TB")
}
