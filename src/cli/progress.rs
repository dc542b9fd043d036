//! Progress on stderr: a line that is replaced on a terminal, nothing elsewhere.

use std::sync::Mutex;

use indicatif::{ProgressBar, ProgressStyle};

/// One progress line. Silent when stderr is no terminal, with `--quiet`, `NO_COLOR` or a dumb terminal.
#[derive(Debug)]
pub(super) struct Progress {
    bar: Mutex<ProgressBar>,
    fancy: bool,
}

impl Progress {
    pub(super) fn new(fancy: bool) -> Self {
        Self { bar: Mutex::new(if fancy { spinner() } else { ProgressBar::hidden() }), fancy }
    }

    /// Says what is being done now, where the amount is not known.
    pub(super) fn stage(&self, text: &str) {
        let bar = self.lock();
        bar.set_message(text.to_owned());
        bar.tick();
    }

    /// Removes the line.
    pub(super) fn clear(&self) {
        self.lock().finish_and_clear();
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, ProgressBar> {
        // A panic elsewhere must not hide the progress of this thread.
        self.bar.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
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
        Packing { bar: bar.clone() }
    }
}

/// The bar of [`Progress::packing`]; [`Progress::clear`] removes it.
#[derive(Debug)]
pub(super) struct Packing {
    bar: ProgressBar,
}

impl crate::bundle::Progress for Packing {
    fn layer(&self, _index: usize, _total: usize, title: &str, _reused: bool) {
        self.bar.set_message(title.to_owned());
    }

    fn bytes(&self, count: u64) {
        self.bar.inc(count);
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
