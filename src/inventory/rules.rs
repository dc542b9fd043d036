//! What a file is to the session: one ordered table, first match wins. `docs/RULES.md` is this table for a person; a
//! unit test keeps the two equal.

use std::borrow::Cow;

use super::{glob::Glob, model::Class, paths, private};

/// Where a file lies, as the owners say (package lists, RECORD, interpreter prefixes).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Place {
    /// An interpreter's executable or shared library, outside any system package.
    Interpreter,
    /// Below an interpreter's `lib/pythonX.Y`, outside `site-packages`.
    StandardLibrary,
    /// A distribution, conda or R package owns it.
    Distribution,
    /// RECORD, INSTALLER, REQUESTED and the like.
    InstallerRecord,
    /// In an environment, and its bytes hold the environment's own path.
    Prefixed,
    /// In an environment, and nobody owns it.
    Environment,
    /// A system package owns it.
    Package,
    /// None of these.
    Elsewhere,
}

/// What the session did with a file.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Usage {
    /// It is a regular file or a directory (no socket, device, pipe).
    pub ordinary: bool,
    /// It was read.
    pub read: bool,
    /// It was written, renamed to, or changed.
    pub written: bool,
    /// It did not exist before the session wrote it.
    pub created: bool,
    /// It was run.
    pub executed: bool,
    /// It is a directory that was opened.
    pub listed: bool,
}

/// The directories of the recorded user that rules speak of. Absolute, without a trailing slash.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Context {
    /// Home.
    pub home: Vec<u8>,
    /// The kernel's working directory.
    pub cwd: Vec<u8>,
    /// The notebook file.
    pub notebook: Option<Vec<u8>>,
    /// `/tmp`, `/var/tmp`, `$TMPDIR`.
    pub temporary: Vec<Vec<u8>>,
    /// `$XDG_CACHE_HOME`, `$HF_HOME`, … beyond those below home.
    pub caches: Vec<Vec<u8>>,
    /// `$XDG_RUNTIME_DIR`, Jupyter's runtime directory.
    pub runtime: Vec<Vec<u8>>,
    /// nbpack's own store.
    pub store: Vec<u8>,
}

/// A file as the table sees it.
#[derive(Clone, Copy, Debug)]
pub struct Facts<'a> {
    /// Its path on the recording machine.
    pub path: &'a [u8],
    /// Where it lies.
    pub place: Place,
    /// What was done with it.
    pub usage: Usage,
    /// The user's directories.
    pub context: &'a Context,
}

impl Facts<'_> {
    fn below_any(&self, dirs: &[&[u8]]) -> bool {
        dirs.iter().any(|dir| paths::below(self.path, dir))
    }

    fn in_home(&self) -> Option<&[u8]> {
        paths::relative(self.path, &self.context.home)
    }

    fn ends(&self, suffixes: &[&[u8]]) -> bool {
        suffixes.iter().any(|suffix| self.path.ends_with(suffix))
    }

    /// Below a temporary directory; a working directory in there is no temporary one.
    fn is_temporary(&self) -> bool {
        self.context.temporary.iter().any(|dir| {
            let works_here = self.context.cwd != *dir && paths::below(&self.context.cwd, dir);
            paths::below(self.path, dir) && !(works_here && paths::below(self.path, &self.context.cwd))
        })
    }

    fn unowned(&self) -> bool {
        matches!(self.place, Place::Elsewhere | Place::Environment)
    }

    fn input(&self) -> bool {
        (self.usage.read || self.usage.executed) && !self.usage.created
    }
}

/// One line of the table.
#[derive(Clone, Copy)]
pub struct Rule {
    /// Its name, as `nbpack show --why` prints it.
    pub name: &'static str,
    /// The class it gives.
    pub class: Class,
    /// Files of this rule go into the bundle.
    pub goes_in: bool,
    /// What it says, for a person.
    pub text: &'static str,
    matches: fn(&Facts<'_>) -> bool,
}

impl std::fmt::Debug for Rule {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Rule({})", self.name)
    }
}

/// A rule of the user's stands here in the order: after what may never leave, before everything else.
pub const OVERRIDE: &str = "nbpack.toml";

/// The table. The first rule that matches gives the class; the last one matches everything.
#[rustfmt::skip]
pub const TABLE: &[Rule] = &[
    Rule { name: "pseudo-file", class: Class::PseudoFile, goes_in: false,
        text: "Below /proc, /sys, /dev, or no regular file (socket, pipe, device).",
        matches: |f| !f.usage.ordinary || f.below_any(&[b"/proc", b"/sys", b"/dev"]) },
    Rule { name: "jupyter-runtime", class: Class::PseudoFile, goes_in: false,
        text: "Jupyter's runtime files: connection files with their keys, server state, trust database.",
        matches: |f| f.context.runtime.iter().any(|dir| paths::below(f.path, dir)) || (f.unowned() && is_jupyter_runtime(f.path)) },
    Rule { name: "recorder", class: Class::PseudoFile, goes_in: false,
        text: "nbpack's own store.",
        matches: |f| !f.context.store.is_empty() && paths::below(f.path, &f.context.store) },
    Rule { name: "private-key", class: Class::Private, goes_in: false,
        text: "SSH, GPG and TLS private keys, keyrings.",
        matches: |f| f.unowned() && private::is_key(f.path, &f.context.home) },
    Rule { name: "private-credential", class: Class::Private, goes_in: false,
        text: "Credentials of clouds, registries, package indexes, model hubs, databases, git, netrc; .env files.",
        matches: |f| f.unowned() && private::is_credential(f.path, &f.context.home) },
    Rule { name: "private-history", class: Class::Private, goes_in: false,
        text: "Histories of shells, interpreters and IPython.",
        matches: |f| f.unowned() && private::is_history(f.path, &f.context.home) },
    Rule { name: "private-profile", class: Class::Private, goes_in: false,
        text: "Browser and mail profiles, desktop keyrings, clipboard stores.",
        matches: |f| f.unowned() && private::is_profile(f.path, &f.context.home) },
    Rule { name: "private-system", class: Class::Private, goes_in: false,
        text: "The machine's own secrets: shadow files, /etc/ssl/private, host keys, sudoers.",
        matches: |f| private::is_system(f.path) },
    Rule { name: "gpu-driver", class: Class::NativeLibrary, goes_in: false,
        text: "Libraries of the graphics driver: they belong to the machine's Linux and are named, not packed.",
        matches: |f| is_gpu_driver(f.path) },
    Rule { name: OVERRIDE, class: Class::Dataset, goes_in: true,
        text: "A pattern of `[classify]` in nbpack.toml; it gives the class it names.",
        matches: |_| false },
    Rule { name: "machine-state", class: Class::SystemState, goes_in: false,
        text: "Made anew for every image or given by the container: passwd, group, hosts, hostname, resolv.conf, nsswitch.conf, mtab, machine-id, /run.",
        matches: |f| is_machine_state(f.path) },
    Rule { name: "compiled-cache", class: Class::Cache, goes_in: false,
        text: "Numba's compiled functions: keyed on the machine's CPU and file times, made again.",
        matches: |f| f.ends(&[b".nbi", b".nbc"]) },
    Rule { name: "installer-record", class: Class::Environment, goes_in: true,
        text: "RECORD, INSTALLER, REQUESTED, direct_url.json, uv_cache.json, uv_build.json: they differ with every installation.",
        matches: |f| f.place == Place::InstallerRecord },
    Rule { name: "contains-prefix", class: Class::Environment, goes_in: true,
        text: "A file of an environment that holds the environment's own path: scripts, patched binaries.",
        matches: |f| f.place == Place::Prefixed },
    Rule { name: "interpreter", class: Class::Interpreter, goes_in: true,
        text: "An interpreter's executable, shared library or header, outside the system's packages.",
        matches: |f| f.place == Place::Interpreter },
    Rule { name: "standard-library", class: Class::StandardLibrary, goes_in: true,
        text: "Below an interpreter's lib/pythonX.Y.",
        matches: |f| f.place == Place::StandardLibrary },
    Rule { name: "distribution", class: Class::Distribution, goes_in: true,
        text: "A Python distribution (RECORD), conda package (conda-meta) or R package (DESCRIPTION) owns it.",
        matches: |f| f.place == Place::Distribution },
    Rule { name: "environment", class: Class::Environment, goes_in: true,
        text: "In an environment, and no distribution owns it.",
        matches: |f| f.place == Place::Environment },
    Rule { name: "system-package", class: Class::SystemPackage, goes_in: true,
        text: "A system package (dpkg, apk) owns it; the package goes in whole, without manuals and translations.",
        matches: |f| f.place == Place::Package },
    Rule { name: "system-state", class: Class::SystemState, goes_in: true,
        text: "Certificates, alternatives, the linker's cache, locales, time zone, fonts and their cache.",
        matches: |f| is_system_state(f.path) },
    Rule { name: "notebook", class: Class::Notebook, goes_in: true,
        text: "The notebook file of this session.",
        matches: |f| f.context.notebook.as_deref() == Some(f.path) },
    Rule { name: "temporary", class: Class::Temporary, goes_in: false,
        text: "Made by the session below a temporary directory.",
        matches: |f| f.usage.created && f.is_temporary() },
    Rule { name: "intermediate", class: Class::Intermediate, goes_in: false,
        text: "Made by the session, then read: running the cells makes it again.",
        matches: |f| f.usage.created && (f.usage.read || f.usage.executed) },
    Rule { name: "listing", class: Class::Listing, goes_in: true,
        text: "A directory that was listed: below the notebook's directory its names go in, never the content.",
        matches: |f| f.usage.listed && !f.usage.read && !f.usage.written },
    Rule { name: "result", class: Class::Result, goes_in: false,
        text: "Written and not read before: its digest is kept, its bytes with --with-results.",
        matches: |f| (f.usage.written || f.usage.created) && !f.input() },
    Rule { name: "local-bytecode", class: Class::Cache, goes_in: false,
        text: "Bytecode of local modules: Python makes it again from the source.",
        matches: |f| f.ends(&[b".pyc"]) },
    Rule { name: "local-module", class: Class::LocalModule, goes_in: true,
        text: "Source code that was read or run and that nobody owns, as it was then.",
        matches: |f| f.ends(CODE) || (f.usage.executed && f.in_home().is_some()) },
    Rule { name: "native-library", class: Class::NativeLibrary, goes_in: true,
        text: "A shared library or program that no package owns, with the libraries it needs.",
        matches: |f| f.usage.executed || is_shared_library(f.path) },
    Rule { name: "library-state", class: Class::Configuration, goes_in: true,
        text: "What programs keep for themselves below a cache directory: font lists, parsed code, shaders, downloads of installers.",
        matches: |f| is_library_state(f) },
    Rule { name: "cache", class: Class::Cache, goes_in: true,
        text: "Read below any other cache directory: model hubs, downloaded data sets.",
        matches: |f| is_cache(f) },
    Rule { name: "configuration", class: Class::Configuration, goes_in: true,
        text: "Read below /etc or in a hidden file or directory of home.",
        matches: |f| paths::below(f.path, b"/etc") || f.in_home().is_some_and(|rest| rest.starts_with(b".")) },
    Rule { name: "dataset", class: Class::Dataset, goes_in: true,
        text: "Anything else that was read and existed before the session: as it was when first read.",
        matches: |_| true },
];

const CODE: &[&[u8]] =
    &[b".py", b".pyi", b".pth", b".R", b".r", b".Rprofile", b".jl", b".sh", b".bash", b".pyx", b".pxd"];

fn is_jupyter_runtime(path: &[u8]) -> bool {
    let name = paths::name(path);
    memchr::memmem::find(path, b"/jupyter/runtime/").is_some()
        || memchr::memmem::find(path, b"/.ipython/profile_default/security/").is_some()
        || (name.starts_with(b"kernel-") && name.ends_with(b".json") && paths::has_component(path, b"runtime"))
        || matches!(name, b"nbsignatures.db" | b"notebook_secret" | b"jupyter_cookie_secret")
}

fn is_gpu_driver(path: &[u8]) -> bool {
    let name = paths::name(path);
    is_shared_library(name)
        && !paths::has_component(path, b"site-packages")
        && ([&b"libcuda.so"[..], b"libnvidia-", b"libnvcuvid.so", b"libnvoptix.so", b"libcudadebugger.so"])
            .iter()
            .any(|begin| name.starts_with(begin))
}

fn is_machine_state(path: &[u8]) -> bool {
    let named: &[&[u8]] = &[
        b"/etc/passwd",
        b"/etc/group",
        b"/etc/hosts",
        b"/etc/hostname",
        b"/etc/resolv.conf",
        b"/etc/nsswitch.conf",
        b"/etc/mtab",
        b"/etc/machine-id",
        b"/etc/fstab",
        b"/etc/host.conf",
        b"/var/run",
        b"/.dockerenv",
    ];
    named.contains(&path) || paths::below(path, b"/run") || paths::below(path, b"/var/run")
}

fn is_system_state(path: &[u8]) -> bool {
    let named: &[&[u8]] =
        &[b"/etc/ld.so.cache", b"/etc/localtime", b"/etc/timezone", b"/etc/os-release", b"/etc/ld.so.conf"];
    let dirs: &[&[u8]] = &[
        b"/etc/ssl/certs",
        b"/etc/pki",
        b"/etc/alternatives",
        b"/usr/lib/locale",
        b"/usr/share/zoneinfo",
        b"/etc/fonts",
        b"/usr/share/fonts",
        b"/usr/local/share/fonts",
        b"/usr/local/share/ca-certificates",
        b"/var/cache/fontconfig",
        b"/etc/ld.so.conf.d",
        b"/usr/share/mime",
        b"/usr/share/terminfo",
        b"/lib/terminfo",
        b"/usr/lib/ssl",
    ];
    named.contains(&path) || dirs.iter().any(|dir| paths::below(path, dir))
}

/// Directories below a cache directory, or in home, that hold nobody's data.
fn is_library_state(facts: &Facts<'_>) -> bool {
    let own: &[&[u8]] = &[
        b"matplotlib",
        b"fontconfig",
        b"mesa_shader_cache",
        b"mesa_shader_cache_db",
        b"nvidia",
        b"pip",
        b"uv",
        b"jedi",
        b"parso",
        b"black",
        b"pylint",
        b"numba",
        b"pycache",
        b"R",
        b"Jupyter",
        b"jupyter",
    ];
    let in_home: &[&[u8]] = &[b".matplotlib", b".nv", b".numba_cache", b".fontconfig"];
    let of = |rest: &[u8], dirs: &[&[u8]]| {
        dirs.iter().any(|dir| rest.strip_prefix(*dir).is_some_and(|rest| rest.is_empty() || rest.starts_with(b"/")))
    };
    let below_caches = facts.context.caches.iter().filter_map(|dir| paths::relative(facts.path, dir));
    let home = facts.in_home();
    home.is_some_and(|rest| of(rest, in_home))
        || below_caches.chain(home.and_then(|rest| rest.strip_prefix(b".cache/"))).any(|rest| of(rest, own))
        // `$MPLCONFIGDIR` is matplotlib's alone.
        || (is_cache(facts) && paths::name(facts.path).starts_with(b"fontlist-"))
}

fn is_cache(facts: &Facts<'_>) -> bool {
    let in_home: &[&[u8]] = &[
        b".cache",
        b"scikit_learn_data",
        b"nltk_data",
        b"seaborn-data",
        b".keras",
        b".torch",
        b".EasyOCR",
        b".gensim",
        b"gensim-data",
        b".matplotlib",
        b".dvc/cache",
        b".nv",
        b".numba_cache",
        b".spacy",
    ];
    facts.context.caches.iter().any(|dir| paths::below(facts.path, dir))
        || facts.in_home().is_some_and(|rest| {
            in_home
                .iter()
                .any(|dir| rest.strip_prefix(*dir).is_some_and(|rest| rest.is_empty() || rest.starts_with(b"/")))
        })
}

/// `name.so`, `name.so.1`, `name.cpython-311-….so`.
pub(crate) fn is_shared_library(path: &[u8]) -> bool {
    let name = paths::name(path);
    name.ends_with(b".so")
        || memchr::memmem::find(name, b".so.").is_some_and(|at| {
            name.get(at + 4..).is_some_and(|rest| rest.iter().all(|byte| byte.is_ascii_digit() || *byte == b'.'))
        })
}

/// The table with the user's own patterns in it.
#[derive(Clone, Debug, Default)]
pub struct Rules {
    overrides: Vec<(Glob, Class)>,
}

/// A class and where it comes from.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Verdict {
    /// The class.
    pub class: Class,
    /// The rule's name.
    pub rule: &'static str,
    /// It goes into the bundle.
    pub goes_in: bool,
    /// For a person.
    pub text: Cow<'static, str>,
}

impl Rules {
    /// The table with overrides: the first pattern that matches wins. Patterns as in [`Glob`].
    pub fn new(overrides: Vec<(Glob, Class)>) -> Self {
        Self { overrides }
    }

    /// The class of one file.
    pub fn classify(&self, facts: &Facts<'_>) -> Verdict {
        let verdict =
            |rule: &Rule| Verdict { class: rule.class, rule: rule.name, goes_in: rule.goes_in, text: rule.text.into() };
        for rule in TABLE {
            if rule.name == OVERRIDE {
                let own = self.overrides.iter().find(|(glob, _)| glob.matches(facts.path, facts.context));
                if let Some((glob, class)) = own {
                    let goes_in = !matches!(
                        class,
                        Class::PseudoFile | Class::Private | Class::Result | Class::Intermediate | Class::Temporary
                    );
                    let text = format!("The pattern `{}` of `[classify]` in nbpack.toml.", glob.text());
                    return Verdict { class: *class, rule: OVERRIDE, goes_in, text: text.into() };
                }
            } else if (rule.matches)(facts) {
                return verdict(rule);
            }
        }
        Verdict { class: Class::Dataset, rule: "dataset", goes_in: true, text: "".into() }
    }
}

/// What a rule says, by its name.
pub fn text_of(rule: &str) -> Option<&'static str> {
    TABLE
        .iter()
        .find(|candidate| candidate.name == rule)
        .map(|rule| rule.text)
        .or_else(|| EXTRA.iter().find(|(name, _)| *name == rule).map(|(_, text)| *text))
}

/// Rules that do not look at a touched file: why an entry is in that nothing of the session asked for, or out though
/// its class goes in.
pub const EXTRA: &[(&str, &str)] = &[
    ("prefix-link", "The link from an environment's original place to its canonical root."),
    ("symlink", "A symbolic link on the way to a file that goes in."),
    ("recorded-symlink", "A symbolic link that the session walked or changed, as it was when the session began."),
    (
        "generated",
        "Made for the image: user table (the session's user and accounts below 100, which the distribution numbers), host table, name service order.",
    ),
    ("empty-directory", "A directory that programs expect, or the parent of a path that the session wrote."),
    ("program", "nbpack itself, so that the image can start its own kernel."),
    ("bytecode", "Compiled form of a source file that goes in, brought to one form."),
    ("named-in-code", "Executed code names it as text, and it exists: whether the session looked for it is not seen."),
    (
        "named-in-part",
        "Executed code says its name and not its directory, and it lies below the working directory: the name goes in, not the content.",
    ),
    ("include", "`[export] include` in nbpack.toml, or --include."),
    ("exclude", "`[export] exclude` in nbpack.toml, or --exclude."),
    ("size-limit", "Larger than the size limit: kept by digest only."),
    ("changed", "Its content is no longer what the session read, and no copy was kept."),
    ("with-results", "A result, asked for with --with-results."),
    (
        "gone-directory",
        "A directory that the session removed or renamed: it was there, so that a replay can do that too.",
    ),
    ("removed-unread", "The session removed it without reading it: the name goes in, not the content."),
];

#[cfg(test)]
mod tests {
    use super::*;

    fn context() -> Context {
        Context {
            home: b"/home/u".to_vec(),
            cwd: b"/home/u/nb".to_vec(),
            notebook: Some(b"/home/u/nb/a.ipynb".to_vec()),
            temporary: vec![b"/tmp".to_vec()],
            caches: vec![b"/data/hf".to_vec()],
            runtime: vec![b"/run/user/1000".to_vec()],
            store: b"/home/u/.local/share/nbpack/v1".to_vec(),
        }
    }

    const READ: Usage =
        Usage { ordinary: true, read: true, written: false, created: false, executed: false, listed: false };

    fn rule(path: &[u8], usage: Usage) -> &'static str {
        Rules::default().classify(&Facts { path, place: Place::Elsewhere, usage, context: &context() }).rule
    }

    #[test]
    fn each_kind_of_file_gets_its_rule() {
        for (path, expected) in [
            (&b"/proc/self/maps"[..], "pseudo-file"),
            (b"/home/u/.local/share/jupyter/runtime/kernel-1.json", "jupyter-runtime"),
            (b"/home/u/.ssh/id_ed25519", "private-key"),
            (b"/home/u/.aws/credentials", "private-credential"),
            (b"/home/u/nb/.env", "private-credential"),
            (b"/home/u/.ipython/profile_default/history.sqlite", "private-history"),
            (b"/home/u/.mozilla/firefox/x/cookies.sqlite", "private-profile"),
            (b"/etc/shadow", "private-system"),
            (b"/usr/lib/x86_64-linux-gnu/libcuda.so.1", "gpu-driver"),
            (b"/etc/hosts", "machine-state"),
            (b"/home/u/nb/__pycache__/f-1.py311.nbi", "compiled-cache"),
            (b"/etc/ssl/certs/ca-certificates.crt", "system-state"),
            (b"/home/u/nb/a.ipynb", "notebook"),
            (b"/home/u/nb/helper.py", "local-module"),
            (b"/home/u/nb/__pycache__/helper.cpython-311.pyc", "local-bytecode"),
            (b"/opt/tool/libx.so.3", "native-library"),
            (b"/home/u/.cache/huggingface/x.bin", "cache"),
            (b"/data/hf/x.bin", "cache"),
            (b"/home/u/.cache/matplotlib/fontlist-v390.json", "library-state"),
            (b"/home/u/.cache/Rx/data.rds", "cache"),
            (b"/data/hf/fontlist-v390.json", "library-state"),
            (b"/home/u/.config/matplotlib/matplotlibrc", "configuration"),
            (b"/home/u/nb/data.csv", "dataset"),
            (b"/tmp/given.csv", "dataset"),
        ] {
            assert_eq!(rule(path, READ), expected, "{}", String::from_utf8_lossy(path));
        }
    }

    #[test]
    fn what_the_session_made_is_told_from_what_it_found() {
        let made = Usage { created: true, written: true, ..READ };
        assert_eq!(rule(b"/home/u/nb/mid.csv", made), "intermediate");
        assert_eq!(rule(b"/tmp/x", made), "temporary");
        let result = Usage { read: false, ..made };
        assert_eq!(rule(b"/home/u/nb/out.csv", result), "result");
        let updated = Usage { written: true, ..READ };
        assert_eq!(rule(b"/home/u/nb/db.sqlite", updated), "dataset");
        let socket = Usage { ordinary: false, ..READ };
        assert_eq!(rule(b"/home/u/nb/s", socket), "pseudo-file");
    }

    #[test]
    fn a_pattern_of_the_user_wins_but_not_over_private() {
        let rules = Rules::new(vec![(Glob::new("**/*").unwrap(), Class::Configuration)]);
        let context = context();
        let facts = |path| Facts { path, place: Place::Elsewhere, usage: READ, context: &context };
        assert_eq!(rules.classify(&facts(b"/home/u/nb/x.csv")).class, Class::Configuration);
        assert_eq!(rules.classify(&facts(b"/home/u/.ssh/id_rsa")).class, Class::Private);
    }

    #[test]
    fn a_file_of_a_distribution_is_not_private_by_its_name() {
        let context = context();
        let facts =
            Facts { path: b"/v/site-packages/x/.env", place: Place::Distribution, usage: READ, context: &context };
        assert_eq!(Rules::default().classify(&facts).rule, "distribution");
    }

    #[test]
    fn names_are_unique_and_the_last_rule_takes_everything() {
        let mut names: Vec<_> = TABLE.iter().map(|rule| rule.name).chain(EXTRA.iter().map(|(name, _)| *name)).collect();
        let count = names.len();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), count);
        assert_eq!(TABLE.last().unwrap().name, "dataset");
    }

    #[test]
    fn the_page_for_people_is_this_table() {
        let page = include_str!("../../docs/RULES.md");
        let rows: Vec<&str> = page.lines().filter(|line| line.starts_with("| `")).collect();
        let class = |class| serde_json::to_value(class).unwrap().as_str().unwrap().to_owned();
        let expected: Vec<String> = TABLE
            .iter()
            .map(|rule| {
                let class = if rule.name == OVERRIDE { "as named".to_owned() } else { class(rule.class) };
                format!("| `{}` | {class} | {} | {} |", rule.name, if rule.goes_in { "yes" } else { "no" }, rule.text)
            })
            .chain(EXTRA.iter().map(|(name, text)| format!("| `{name}` | {text} |")))
            .collect();
        assert_eq!(
            rows,
            expected.iter().map(String::as_str).collect::<Vec<_>>(),
            "docs/RULES.md should read:\n{}",
            expected.join("\n")
        );
    }
}
