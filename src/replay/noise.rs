//! The normalisers: what may differ between two faithful runs, each with a name.
//!
//! A text is taken apart by shape first (`tokens`); whether two tokens of one shape may differ is decided for the
//! pair (`settle`), because the same digits are noise in one place and data in another: a date is a clock only when
//! both runs can have read it from one, a hex number is an address only where Python or R writes addresses.

use std::sync::LazyLock;

use regex::Regex;

use super::{
    Rules,
    clock::Window,
    drawn::{
        chosen_port, drawn_apart, heap_address, heap_number, made_by_mktemp, random_hex, random_part, random_uuid,
    },
    outputs::Tally,
};
use crate::session::model::Recording;

/// Every normaliser by name, and what it makes equal. `[replay] off = ["name"]` in `nbpack.toml` switches one off.
pub const NORMALISERS: &[(&str, &str)] = &[
    ("address", "memory addresses: `<object at 0x7f…>`, `<environment: 0x55…>`"),
    ("object_id", "what `id()` gives: a multiple of 16 in the range where Linux puts heaps"),
    ("kernel_pid", "the kernel's process id in `ipykernel_1234` and the paths of cells"),
    ("pid", "process ids: `pid 1234`, or a number that was a process of the session"),
    ("working_directory", "the notebook's directory and home, where the two sessions have others"),
    ("temporary_path", "names that `tempfile` (with any prefix), `mktemp` and R's `tempdir` make"),
    (
        "uuid",
        "random uuids (versions 1, 4, 6, 7), with and without dashes, the length that the code cuts from one, `token_hex`, IPython's `display_id`, message ids and boundaries of e-mails; named ones (3, 5) are data",
    ),
    (
        "generated_name",
        "numbers and names that asyncio, multiprocessing and Linux give (`name='Task-3'`, `psm_1a2b3c4d`, `fd=65`)",
    ),
    ("port", "ports of this machine's own addresses that Linux chose, on both sides (32768 to 60999)"),
    ("inode", "the number of a file's inode, where the line says that it is one, or `ls -i` does"),
    ("widget_id", "model ids of widgets"),
    ("html_id", "generated ids in HTML, SVG and JSON, when the same renaming explains every one of them"),
    (
        "clock",
        "dates, times of day and epoch numbers that lie within the session on both sides; dates that the code counts from now, as far apart as the two executions",
    ),
    (
        "duration",
        "measured durations and rates: `%%time`, `%timeit`, `3.2 s` in a cell that took that long, `it/s`, `1,200 rows/s` in a cell that reads a clock (or calls a function of the notebook's that does), fields that a library fills with them (`mean_fit_time`)",
    ),
    (
        "memory",
        "memory that a process has, free space and load of the machine, where the code asks for it and the line speaks of it; memory and space at most twice as much",
    ),
    ("progress_bar", "the bar of tqdm and its like; percentage and counts are compared"),
    ("carriage_return", "what carriage returns and backspaces have overwritten on the screen"),
    ("set_order", "the order of items in a set"),
    ("whitespace", "width and number of blanks, rules of dashes, empty lines at the end"),
    ("ansi", "colours"),
    ("execution_count", "the number in `In [3]`"),
    ("interleaving", "whether stdout, stderr and displays came a little earlier or later among each other"),
    (
        "completion_order",
        "the order of lines that threads, processes and tasks print as they end, where the code runs such; lines that two of them tore into each other",
    ),
    ("redacted", "what was taken out of the recording as a secret (`[redacted]`)"),
    ("group_write", "whether a file's group may write (`-rw-rw-r--`, `0o100664`): in a bundle it may"),
    (
        "listing",
        "times, links, mode and size of a directory, and of a notebook, in `ls -l`: a bundle has a later notebook; fractions of a second in the time of a file",
    ),
    ("name_resolution", "which of the resolver's errors says that a host's name could not be looked up"),
    (
        "interrupt_point",
        "the line at which an interrupt struck, and how far the output of a cell came that it or the kernel's end cut short",
    ),
];

/// The shape of a token.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Shape {
    Uuid,
    KernelFile,
    TemporaryPath,
    PlacedAddress,
    Address,
    Hex,
    ShortHex,
    MessageId,
    Numbered,
    DisplayId,
    Port,
    Loops,
    Rate,
    CountedRate,
    Clock,
    Duration,
    Bar,
    Counter,
    Pid,
    Resolver,
    Listed,
    FileMode,
    InTemporary,
    Number,
}

/// Shapes in the order in which they are tried at one position.
const SHAPES: &[(Shape, &str)] = &[
    // A name before it ends in a dash, which is no sign of a number.
    (Shape::Uuid, r"-?[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}"),
    (Shape::KernelFile, r"(?:(?:/[\w.+-]+)*/)?ipykernel_\d+"),
    (
        Shape::TemporaryPath,
        r"(?:/[\w.+-]+)*/?\b(?:tmp[a-z0-9_]{8}\b|tmp\.[A-Za-z0-9]{6,10}\b|Rtmp[A-Za-z0-9]{6}\b(?:/file[0-9a-f]+)?)",
    ),
    (Shape::InTemporary, r"(?:/var)?/tmp/[\w.+-]{8,}"),
    (
        Shape::PlacedAddress,
        r"(?:\bat |@ ?|environment: |pointer: |bytecode: )0x[0-9a-fA-F]{4,16}\b|\.\.\.x[0-9a-f]{12}(?:&gt;|>)|\bmemory:[0-9a-f]{12}\b",
    ),
    (Shape::Address, r"0x[0-9a-fA-F]{2,16}\b"),
    // RFC 5322 message ids of Python's email (time, process, 64 random bits), and RFC 2046 boundaries.
    (Shape::MessageId, r"\b\d{10,}\.\d+\.\d{10,}@|={15}\d{10,20}=="),
    // asyncio and multiprocessing number what they make; shared memory gets a drawn name.
    (Shape::Numbered, r"\bname='(?:Task|Thread|\w*Process)-\d+(?::\d+)?'|\bfd=\d+\b|\bpsm_[0-9a-f]{8}\b"),
    // IPython draws it from the operating system.
    (Shape::DisplayId, r"\bdisplay_id=[0-9a-f]{32}\b"),
    (Shape::Hex, r"-?[0-9a-f]{32}\b"),
    // Loopback's addresses with a port, as text and as Python shows a pair.
    (Shape::Port, r"\b(?:127\.0\.0\.1|localhost|0\.0\.0\.0)(?::|', )\d{5}\b|\[::1?\]:\d{5}\b"),
    // At least one letter among the first eight: the rest are numbers. (Of decimals none.)
    (
        Shape::ShortHex,
        r"-?\b\d{0,7}[a-f][0-9a-f]{4,30}\b|-?\b\d{5,7}[a-f][0-9a-f]{0,3}\b|-?\b\d{3,4}[a-f][0-9a-f]{2,3}\b",
    ),
    (Shape::Loops, r"per loop \(mean ± std\. dev\. of [\d,]+ runs?, [\d,]+ loops? each\)|[\d,]+ loops?, best of \d+:"),
    (
        Shape::Rate,
        r"\d+:\d{2}(?::\d{2})?(?:<|&lt;)(?:\d+:\d{2}(?::\d{2})?|\?)|(?:(?:\d{1,3}(?:,\d{3})+|\d+)(?:\.\d+)?|\?) ?[kKMGT]?i?(?:it|[bB]|bytes|rows|examples|samples|steps?|batch|img)/(?:s|sec)\b|\d+(?:\.\d+)? ?[mµu]?s/(?:it|step|epoch|sample|batch|iter)\b",
    ),
    // What a cell counts and divides by a time that it measured.
    (
        Shape::CountedRate,
        r"(?:\d{1,3}(?:,\d{3})+|\d+)(?:\.\d+)?[kKM]? ?(?:items?|lines?|records?|calls?|ops|operations|req|reqs|requests|queries|files|docs|documents|words|tokens|events|msgs|messages|points|iterations|iter|loops|draws|jobs|tasks|tables|pages|images|frames|rows|samples|folds|fits|trees|models|epochs|steps|rounds|runs|trials|simulations|sims|paths|games|moves|pairs|cells|nodes|edges|users|orders|evaluations|evals)?(?:/| per )(?:s|sec|second)\b",
    ),
    (
        Shape::Clock,
        r"(?x)
        datetime\.(?:datetime|date)\(\d+(?:,\ \d+)+
        | time\.struct_time\(tm_year=\d+(?:,\ tm_\w+=-?\d+){8}\)
        # A name before it may end in a sign, which is none of a number.
        | (?:[-_]|\b)\d{4}-\d{2}-\d{2}(?:[T\ ]\d{2}:\d{2}(?::\d{2}(?:[.,]\d{1,9})?)?)?(?:Z|\ ?[+-]\d{2}:?\d{2}\b)?
        | \b(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun)[a-z]*,?\s+(?:\d{1,2}\s+)?(?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)[a-z]*
            (?:\s+\d{1,2}\b)?,?(?:\s+\d{4}\b)?(?:\s+\d{1,2}:\d{2}:\d{2})?(?:\s+[A-Z]{3,4}\b)?(?:\s+\d{4}\b)?
        | \b(?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)\ [\ \d]\d\ \d{2}:\d{2}\b
        | \b\d{1,2}[\ /-](?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)[a-z]*[\ /-]\d{4}\b(?:[\s:]+\d{1,2}:\d{2}(?::\d{2})?)?
        | \b(?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)[a-z]*\ \d{1,2},\ \d{4}\b
        | \b\d{1,2}[./]\d{1,2}[./]\d{4}\b(?:,?\ \d{1,2}:\d{2}(?::\d{2}(?:[.,]\d{1,9})?)?(?:\ ?[AaPp][Mm]\b)?)?
        | \b\d{4}/\d{2}/\d{2}\b(?:\ \d{2}:\d{2}(?::\d{2})?)?
        | \b\d{1,2}:\d{2}:\d{2}(?:[.,]\d+)?(?:\ ?[AaPp][Mm]\b)?
        | \b\d{2}:\d{2}\b
        | (?:[-_]|\b)(?:20)?\d{6}[-_T]\d{6}(?:Z\b|_|\b)",
    ),
    (
        Shape::Duration,
        r"\b\d+m\d+[.,]\d{3}s\b|(?:\b(?:\d{1,3}(?:,\d{3})+|\d+)(?:\.\d+)?(?:e[+-]?\d+)? ?(?:days?|hours?|hrs?|h|minutes?|mins?|m|seconds?|secs?|msec|ms|&micro;s|µs|μs|us|ns|s)\b[, ]{0,2})+",
    ),
    (Shape::Bar, r"\d+%\|[^|\n]*\||[━╸╺█▏▎▍▌▋▊▉░▒▓]{3,}[━╸╺█▏▎▍▌▋▊▉░▒▓ ]*|\[[=>.#-]{8,}\]"),
    (Shape::Counter, r"\b(?:Cell In|Input In|In|Out) ?\[\d+\]|<ipython-input-\d+-[0-9a-f]+>"),
    (Shape::Pid, r"\b(?:[Pp][Ii][Dd]|[Pp]rocess) ?[=:]? ?\d+\b|\bparent=\d+\b"),
    // glibc's words for EAI_NONAME, EAI_AGAIN, EAI_FAIL and EAI_NODATA (gai_strerror(3)).
    (
        Shape::Resolver,
        r"(?:\[Errno -\d\] )?(?:Name or service not known|Temporary failure in name resolution|Non-recoverable failure in name resolution|No address associated with hostname)",
    ),
    // A line of `ls -l` about a directory, or about a notebook with its name.
    (
        Shape::Listed,
        r"(?x)
        (?:d[rwxsStT-]{9}|-[rwxsStT-]{9})[+.@]?\s+\d+\s+\S+\s+\S+\s+[\d.,]+[KMGT]?\s+
        (?:[A-Z][a-z]{2}\s+\d{1,2}\s+(?:\d{2}:\d{2}|\d{4})|\d{4}-\d{2}-\d{2}\s+\d{2}:\d{2})\s+\S+",
    ),
    // As `ls -l` and `stat` write it. A bundle's files let their group write, so that it runs under any user id.
    (Shape::FileMode, r"[-dl]r[w-][xsS-][r-][w-][xsS-][r-][w-][xtT-]|\b0o(?:100|40)[0-7]{3}\b"),
    (Shape::Number, NUMBER),
];

const NUMBER: &str =
    r"[-+]?(?:(?:\d{1,3}(?:,\d{3})+|\d+)(?:\.\d*)?|\.\d+)(?:[eE][-+]?\d+)?|[-+]?\b(?:nan|NaN|inf|Inf)\b";

/// PID_MAX_LIMIT of 64-bit Linux (`proc(5)`).
const MOST_PIDS: f64 = 4_194_304.0;
/// Smaller numbers are more often counts: Linux starts again at 300 when it has used all (RESERVED_PIDS).
const SMALLEST_PID: f64 = 300.0;

static LEXER: LazyLock<Vec<(Shape, Regex)>> =
    LazyLock::new(|| SHAPES.iter().filter_map(|(shape, pattern)| Some((*shape, Regex::new(pattern).ok()?))).collect());
static ANY: LazyLock<Option<Regex>> = LazyLock::new(|| {
    let all: Vec<String> = SHAPES.iter().map(|(_, pattern)| format!("(?:{pattern})")).collect();
    Regex::new(&all.join("|")).ok()
});
static ONLY_NUMBERS: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new(NUMBER).ok());
static TIMING_WORD: LazyLock<Option<Regex>> = LazyLock::new(|| {
    Regex::new(
        r"(?i)\b(?:wall|cpu times?|user|sys|best of|fastest run|slowest run|elapsed|took|takes|duration|per loop|run ?time|ran \d+ tests?|finished|done|completed|timing|seconds|total time|fit_time|score_time|time)\b|/step\b|it/s\b",
    )
    .ok()
});
static LISTS_PROCESSES: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new(r"\bps\b|\bpsutil\b|\bpgrep\b").ok());

/// One token of a known shape in a text.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Token<'a> {
    pub(super) shape: Shape,
    pub(super) text: &'a str,
}

/// A text with a mark for each token, and the tokens in order.
#[derive(Debug)]
pub(super) struct Shaped<'a> {
    pub(super) skeleton: String,
    pub(super) tokens: Vec<Token<'a>>,
}

/// Takes a text apart by shape.
pub(super) fn shaped(text: &str) -> Shaped<'_> {
    cut(text, ANY.as_ref(), |found| {
        let whole = |(_, regex): &&(Shape, Regex)| regex.find(found).is_some_and(|m| m.len() == found.len());
        LEXER.iter().find(whole).map_or(Shape::Number, |(shape, _)| *shape)
    })
}

/// Takes a text apart into numbers only: for tokens that look like noise and are not.
pub(super) fn numbers(text: &str) -> Shaped<'_> {
    cut(text, ONLY_NUMBERS.as_ref(), |_| Shape::Number)
}

fn cut<'a>(text: &'a str, regex: Option<&Regex>, shape_of: impl Fn(&str) -> Shape) -> Shaped<'a> {
    let mut skeleton = String::with_capacity(text.len());
    let mut tokens = Vec::new();
    let mut end = 0;
    for found in regex.into_iter().flat_map(|regex| regex.find_iter(text)).filter(|found| !found.is_empty()) {
        skeleton.push_str(text.get(end..found.start()).unwrap_or_default());
        let shape = shape_of(found.as_str());
        // A control character that `strip` has removed from every text; the letter tells the shape.
        skeleton.push('\u{1}');
        skeleton.push(char::from(b'A' + shape as u8));
        tokens.push(Token { shape, text: found.as_str() });
        end = found.end();
    }
    skeleton.push_str(text.get(end..).unwrap_or_default());
    Shaped { skeleton, tokens }
}

/// What is known of one side of a comparison.
#[derive(Clone, Debug)]
pub(super) struct Side {
    /// From the session's start to the end of this execution.
    pub(super) window: Window,
    /// Seconds that this execution took.
    pub(super) lasted: f64,
    /// The working directory.
    pub(super) cwd: String,
    /// The home directory.
    pub(super) home: String,
    /// Process ids of the session, as the recorder numbers them.
    pub(super) pids: std::rc::Rc<std::collections::BTreeSet<u32>>,
}

/// Two sides of one execution, and what counts as equal.
#[derive(Debug)]
pub(super) struct Pair<'a> {
    pub(super) rules: &'a Rules,
    /// Relative tolerance of numbers.
    pub(super) tolerance: f64,
    pub(super) recorded: Side,
    pub(super) replayed: Side,
    pub(super) code: &'a str,
    /// Both were interrupted.
    pub(super) interrupted: bool,
    /// What else is known of the two sessions.
    pub(super) recordings: Option<(&'a Recording, &'a Recording)>,
    /// Whether functions that the code calls read a clock, once that was asked.
    pub(super) clock: std::cell::OnceCell<bool>,
}

/// Whether two tokens of one shape count as equal; says so in the tally.
///
/// `line` is the recorded line around the token: some digits are noise only beside certain words.
pub(super) fn settle(pair: &Pair, line: &str, a: Token, b: Token, tally: &mut Tally) -> bool {
    if a.text == b.text {
        return true;
    }
    let name = match a.shape {
        Shape::Uuid => (random_uuid(a.text) && random_uuid(b.text) && drawn_apart(a.text, b.text)).then_some("uuid"),
        Shape::Hex => (random_hex(a.text) && random_hex(b.text) && drawn_apart(a.text, b.text)).then_some("uuid"),
        Shape::ShortHex => {
            let id = pair.cut_id(a.text, b.text).then_some("uuid");
            id.or_else(|| pair.bare_address(a.text, b.text).then_some("object_id"))
        }
        Shape::DisplayId | Shape::MessageId => Some("uuid"),
        Shape::Numbered => Some("generated_name"),
        Shape::KernelFile => Some("kernel_pid"),
        Shape::TemporaryPath => Some("temporary_path"),
        Shape::InTemporary => {
            let drawn = random_part(a.text, b.text) || made_by_mktemp(pair.code, a.text, b.text);
            drawn.then_some("temporary_path")
        }
        Shape::PlacedAddress => Some("address"),
        Shape::Address => (heap_address(a.text) && heap_address(b.text)).then_some("address"),
        Shape::Port => (chosen_port(a.text) && chosen_port(b.text)).then_some("port"),
        Shape::Loops | Shape::Rate => Some("duration"),
        Shape::CountedRate => pair.reads_clock().then_some("duration"),
        Shape::Clock => {
            let both = Window::both_hold((&pair.recorded.window, a.text), (&pair.replayed.window, b.text));
            let moved = || pair.reads_clock() && pair.both_moved(a.text, b.text);
            let cut = pair.reads_file_time() && cut_to_seconds(a.text, b.text);
            let name = (both || moved()).then_some("clock").or(cut.then_some("listing"));
            name.or_else(|| short_duration(pair, line, a.text, b.text))
        }
        Shape::Duration => measured(pair, line, a.text, b.text).then_some("duration"),
        Shape::Bar => (percentage(a.text) == percentage(b.text)).then_some("progress_bar"),
        Shape::Counter => Some("execution_count"),
        // `process 8812` beside one that is known is data.
        Shape::Pid => {
            let value = numbers(a.text).tokens.first().and_then(|token| number(token.text));
            let known = value.is_some_and(|value| is_pid(&pair.recorded, value));
            let by_name = !a.text.to_ascii_lowercase().starts_with("process");
            (known || by_name || !names_pid(pair, line)).then_some("pid")
        }
        Shape::Resolver => Some("name_resolution"),
        Shape::Listed => listed_alike(a.text, b.text).then_some("listing"),
        Shape::FileMode => (group_may_write(a.text) == group_may_write(b.text)).then_some("group_write"),
        Shape::Number => return settle_number(pair, line, a.text, b.text, tally),
    };
    if let Some(name) = name.filter(|name| pair.rules.on(name)) {
        tally.count(name);
        return true;
    }
    if a.shape == Shape::Listed {
        return column_by_column(pair, a.text, b.text, tally);
    }
    // It looks like noise and is none: what is left are numbers in it.
    let (a, b) = (numbers(a.text), numbers(b.text));
    a.skeleton == b.skeleton
        && a.tokens.iter().zip(&b.tokens).all(|(a, b)| settle_number(pair, line, a.text, b.text, tally))
}

fn settle_number(pair: &Pair, line: &str, a: &str, b: &str, tally: &mut Tally) -> bool {
    if a == b {
        return true;
    }
    let (Some(x), Some(y)) = (number(a), number(b)) else { return false };
    let whole = |text: &str| !text.contains(['.', 'e', 'E', 'n', 'N']);
    // The dash of `job-1234` is no sign.
    let [then, now] = if a.starts_with('-') && b.starts_with('-') { [-x, -y] } else { [x, y] };
    let mut name = None;
    let whole_session =
        |side: &Side, value: f64| (0.0..=(side.window.end - side.window.start) * 64.0 + 1.0).contains(&value);
    if pair.is_inode(line, a) {
        name = Some("inode");
    } else if pair.is_uptime(line, a, x, y) {
        name = Some("clock");
    } else if pair.reads_load(line) && x.max(y) < 1000.0 && !whole(a) && !whole(b) {
        name = Some("memory");
    } else if !whole(a)
        && !whole(b)
        && pair.reads_used_time()
        && (is_timing(line) || names_cpu(line))
        && whole_session(&pair.recorded, x)
        && whole_session(&pair.replayed, y)
        || !whole(a) && !whole(b) && pair.profiles() && took(&pair.recorded, x) && took(&pair.replayed, y)
    {
        name = Some("duration");
    } else if pair.reads_memory(line, a) && x.min(y) > 0.0 && x.max(y) <= 2.0 * x.min(y) {
        name = Some("memory");
    } else if pair.recorded.window.holds_epoch(x) && pair.replayed.window.holds_epoch(y)
        || is_day(a) && is_day(b) && Window::both_hold((&pair.recorded.window, a), (&pair.replayed.window, b))
    {
        name = Some("clock");
    } else if pair.reads_file_time() && x > 1e9 && x.floor() == y.floor() && (x.fract() == 0.0 || y.fract() == 0.0) {
        name = Some("listing");
    } else if whole(a.trim_end_matches('.')) && whole(b.trim_end_matches('.')) {
        if heap_number(x) && heap_number(y) {
            name = Some("object_id");
        } else if is_pid(&pair.recorded, then) && (1.0..MOST_PIDS).contains(&now)
            || pair.reads_pid()
                && !names_pid(pair, line)
                && then.max(now) >= SMALLEST_PID
                && [then, now].iter().all(|n| (1.0..MOST_PIDS).contains(n))
        {
            name = Some("pid");
        }
    } else if pair.reads_clock() && is_timing(line) && took(&pair.recorded, x) && took(&pair.replayed, y)
        || pair.names_milliseconds(line, a) && took(&pair.recorded, x / 1e3) && took(&pair.replayed, y / 1e3)
    {
        name = Some("duration");
    }
    if let Some(name) = name.filter(|name| pair.rules.on(name)) {
        tally.count(name);
        return true;
    }
    if whole(a) && whole(b) {
        return false;
    }
    let error = (x - y).abs() / x.abs().max(y.abs());
    let close = !pair.rules.exact && (x == y || (x.is_nan() && y.is_nan()) || error <= pair.tolerance);
    if close {
        tally.errors.push(if error.is_finite() { error } else { 0.0 });
    }
    close
}

/// The value of a number token; thousands separators are left out.
pub(super) fn number(text: &str) -> Option<f64> {
    text.replace(',', "").parse().ok()
}

/// Whether the line has a process id that is known: then its other numbers are none. What `ps` lists has others, too.
fn names_pid(pair: &Pair, line: &str) -> bool {
    let numbers = numbers(line);
    let known = |token: &Token| number(token.text).is_some_and(|value| is_pid(&pair.recorded, value));
    numbers.tokens.iter().any(known) && !LISTS_PROCESSES.as_ref().is_some_and(|regex| regex.is_match(pair.code))
}

/// Two times that are one up to the second, of which one ends there: a bundle keeps no fraction of a file's time.
fn cut_to_seconds(a: &str, b: &str) -> bool {
    // With zeros for its fraction it has none: `12:30:05.000000`.
    let bare = |text: &str| match text.rsplit_once(['.', ',']) {
        Some((whole, fraction)) if fraction.bytes().all(|byte| byte == b'0') => whole.to_owned(),
        _ => text.to_owned(),
    };
    let (a, b) = (bare(a), bare(b));
    let (short, long) = if a.len() < b.len() { (a, b) } else { (b, a) };
    let rest = long.strip_prefix(short.as_str()).and_then(|rest| rest.strip_prefix(['.', ',']));
    short.contains(':') && rest.is_some_and(|rest| rest.bytes().all(|byte| byte.is_ascii_digit()))
}

/// Eight digits, as `20261122` has them.
fn is_day(text: &str) -> bool {
    let digits = text.trim_matches(['-', '.']);
    digits.len() == 8 && digits.bytes().all(|byte| byte.is_ascii_digit())
}

/// A pid of a session that is large enough not to be mistaken for a count.
fn is_pid(side: &Side, value: f64) -> bool {
    value >= SMALLEST_PID && side.pids.contains(&(value as u32))
}

/// A mode as it is with the group's right to write.
fn group_may_write(mode: &str) -> String {
    if let Some(bits) = mode.strip_prefix("0o").and_then(|octal| u32::from_str_radix(octal, 8).ok()) {
        return format!("{:o}", bits | 0o020);
    }
    mode.char_indices().map(|(at, c)| if at == 5 { 'w' } else { c }).collect()
}

/// Two lines of `ls -l` about one directory, or about one notebook.
fn listed_alike(a: &str, b: &str) -> bool {
    let name = |line: &str| line.split_whitespace().next_back().map(str::to_owned);
    let kind = |line: &str| line.starts_with('d');
    kind(a) == kind(b)
        && name(a) == name(b)
        && (kind(a) || name(a).is_some_and(|name| name.strip_suffix(".ipynb").is_some()))
}

/// The columns of two lines of `ls -l`, each by what it is: mode, links, owner, group, size, time, name.
fn column_by_column(pair: &Pair, a: &str, b: &str, tally: &mut Tally) -> bool {
    let columns = |line: &str| -> Vec<String> {
        let words: Vec<&str> = line.split_whitespace().collect();
        let time = words.get(5..words.len().saturating_sub(1)).unwrap_or_default().join(" ");
        words
            .iter()
            .take(5)
            .map(|word| (*word).to_owned())
            .chain([time])
            .chain(words.last().map(|w| (*w).to_owned()))
            .collect()
    };
    let (a, b) = (columns(a), columns(b));
    a.len() == b.len()
        && a.iter().zip(&b).enumerate().all(|(at, (a, b))| {
            let shape = match at {
                0 => Shape::FileMode,
                5 => Shape::Clock,
                // A name may lie in a temporary directory.
                6 => return name_agrees(pair, a, b, tally),
                _ => return a == b,
            };
            settle(pair, "", Token { shape, text: a }, Token { shape, text: b }, tally)
        })
}

fn name_agrees(pair: &Pair, a: &str, b: &str, tally: &mut Tally) -> bool {
    let (a, b) = (shaped(a), shaped(b));
    a.skeleton == b.skeleton && a.tokens.iter().zip(&b.tokens).all(|(a, b)| settle(pair, "", *a, *b, tally))
}

/// Whether a line speaks of the processor's time.
fn names_cpu(line: &str) -> bool {
    static CPU: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new(r"(?i)\b(?:cpu|processor)\b").ok());
    CPU.as_ref().is_some_and(|regex| regex.is_match(line))
}

fn is_timing(line: &str) -> bool {
    TIMING_WORD.as_ref().is_some_and(|regex| regex.is_match(line))
}

/// Whether a duration fits into the execution that shows it.
pub(super) fn took(side: &Side, seconds: f64) -> bool {
    seconds >= 0.0 && seconds <= side.lasted * 1.2 + 0.05
}

/// Whether two durations were measured in these executions: both fit into them, or words say so and they fit into
/// the session.
fn measured(pair: &Pair, line: &str, a: &str, b: &str) -> bool {
    let (Some(x), Some(y)) = (seconds(a), seconds(b)) else { return false };
    let of_shell =
        |text: &str| text.ends_with('s') && text.contains('m') && !text.contains(' ') && !text.ends_with("ms");
    if is_timing(line) || of_shell(a) && of_shell(b) || pair.reads_used_time() {
        // Four threads can use more CPU time than the clock shows. A time that somebody set is seldom so short as a session.
        let threads = if pair.rules.doubtful && !names_cpu(line) { 1.0 } else { 64.0 };
        let within = |side: &Side, seconds: f64| seconds <= (side.window.end - side.window.start) * threads + 1.0;
        return within(&pair.recorded, x) && within(&pair.replayed, y);
    }
    // A clock may have been started in an earlier cell.
    let since = |side: &Side, seconds: f64| seconds <= side.window.end - side.window.start + 0.05;
    pair.measures() && since(&pair.recorded, x) && since(&pair.replayed, y)
        || (pair.reads_clock() || pair.is_verbose()) && took(&pair.recorded, x) && took(&pair.replayed, y)
}

/// `0:00:01.234` as `datetime.timedelta` prints it.
fn short_duration(pair: &Pair, line: &str, a: &str, b: &str) -> Option<&'static str> {
    let value = |text: &str| {
        let parts: Option<Vec<f64>> = text.split(':').map(|part| part.parse().ok()).collect();
        parts.map(|parts| parts.iter().fold(0.0, |sum, part| sum * 60.0 + part))
    };
    let (x, y) = (value(a)?, value(b)?);
    let fits = took(&pair.recorded, x) && took(&pair.replayed, y);
    (fits && (is_timing(line) || pair.reads_clock())).then_some("duration")
}

/// The sum of a duration's parts in seconds.
fn seconds(text: &str) -> Option<f64> {
    static PART: LazyLock<Option<Regex>> =
        LazyLock::new(|| Regex::new(r"(\d+(?:\.\d+)?(?:e[+-]?\d+)?) ?([a-zµμ]+)").ok());
    let mut sum = 0.0;
    let text = text.replace(',', "").replace("&micro;", "µ");
    for part in PART.as_ref()?.captures_iter(&text) {
        let value: f64 = part.get(1)?.as_str().parse().ok()?;
        sum += value
            * match part.get(2)?.as_str() {
                unit if unit.starts_with("day") => 86_400.0,
                unit if unit.starts_with('h') => 3600.0,
                "m" | "min" | "mins" | "minute" | "minutes" => 60.0,
                "ms" | "msec" => 1e-3,
                "µs" | "μs" | "us" => 1e-6,
                "ns" => 1e-9,
                _ => 1.0,
            };
    }
    Some(sum)
}

fn percentage(text: &str) -> Option<&str> {
    text.split_once('%').map(|(number, _)| number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_shape_compiles() {
        assert_eq!(LEXER.len(), SHAPES.len());
        assert!(ANY.is_some() && ONLY_NUMBERS.is_some() && TIMING_WORD.is_some());
    }

    #[test]
    fn a_text_is_taken_apart_by_shape() {
        assert_eq!(shaped("[Errno -2] Name or service not known").tokens.len(), 1);
        let text = "<f at 0x7f00aa11> 3.5 -1e5 2026-11-22 10:00:00 1min 3s /tmp/ipykernel_12/3.py 5%|#| a1b2";
        let shapes: Vec<Shape> = shaped(text).tokens.iter().map(|token| token.shape).collect();
        use Shape::{Bar, Clock, Duration, KernelFile, Number, PlacedAddress};
        assert_eq!(shapes, [PlacedAddress, Number, Number, Clock, Duration, KernelFile, Number, Bar, Number, Number]);
    }

    #[test]
    fn a_uuid_after_a_name_and_an_address_cut_by_reprlib_are_found_whole() {
        let shapes = |text| shaped(text).tokens.iter().map(|token| token.shape).collect::<Vec<_>>();
        assert_eq!(shapes("Delayed('add-4682526e-3723-4a0e-b880-11a6536e0e66')"), [Shape::Uuid]);
        assert_eq!(shapes("&lt;sklearn.tree...x7fb69e803670&gt;"), [Shape::PlacedAddress]);
        assert!(random_uuid("-4682526e-3723-4a0e-b880-11a6536e0e66"));
    }

    #[test]
    fn only_random_uuids_are_noise() {
        assert!(random_uuid("6ba7b810-9dad-41d1-80b4-00c04fd430c8"));
        assert!(!random_uuid("6ba7b810-9dad-51d1-80b4-00c04fd430c8"), "version 5 is made from a name");
        assert!(random_hex("9f1c2b3a4d5e4f608a7b6c5d4e3f2a1b"));
        assert!(!random_hex("d41d8cd98f00b204e9800998ecf8427e"), "the MD5 of nothing");
    }
}
