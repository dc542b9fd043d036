//! What a session used and did, in formats that other tools read: software lists, provenance, recipes.
//!
//! Each is a function of the record alone: no clock, no random number, no order of a hash table. The same session gives
//! the same bytes, from the machine it was recorded on and from its bundle.

mod licence;
mod provenance;
mod recipe;
mod sbom;
pub mod wheel;
mod workflow_run;

use serde_json::Value;

use crate::{digest::Digest, event::Nanos, inventory::model::Component, session::model::Recording};

/// A format that is one document.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Format {
    /// SPDX 2.3, JSON.
    Spdx,
    /// CycloneDX 1.6, JSON.
    CycloneDx,
    /// RO-Crate 1.1 with the profiles up to Provenance Run Crate: `ro-crate-metadata.json`.
    RoCrate,
    /// W3C PROV in its JSON form.
    Prov,
    /// in-toto statement (v1) with a SLSA provenance (v1) predicate.
    InToto,
    /// conda's `environment.yml`.
    EnvironmentYml,
    /// `renv.lock` of R's renv.
    RenvLock,
    /// Names and versions, as pip reads them; no hashes (see [`wheel`]).
    Requirements,
    /// A recipe that builds the environment anew from the outside world.
    Dockerfile,
}

impl Format {
    /// All of them.
    pub const ALL: [Self; 9] = [
        Self::Spdx,
        Self::CycloneDx,
        Self::RoCrate,
        Self::Prov,
        Self::InToto,
        Self::EnvironmentYml,
        Self::RenvLock,
        Self::Requirements,
        Self::Dockerfile,
    ];

    /// The name that tools look for.
    pub fn file_name(self) -> &'static str {
        match self {
            Self::Spdx => "sbom.spdx.json",
            Self::CycloneDx => "sbom.cdx.json",
            Self::RoCrate => "ro-crate-metadata.json",
            Self::Prov => "prov.json",
            Self::InToto => "provenance.intoto.json",
            Self::EnvironmentYml => "environment.yml",
            Self::RenvLock => "renv.lock",
            Self::Requirements => "requirements.txt",
            Self::Dockerfile => "Dockerfile",
        }
    }
}

/// What the documents are about.
#[derive(Clone, Copy, Debug)]
pub struct Facts<'a> {
    /// The notebook's name without suffix, or the bundle's.
    pub name: &'a str,
    /// The session.
    pub recording: &'a Recording,
    /// Its software.
    pub components: &'a [Component],
}

/// Writes one document. It ends with a line feed.
pub fn render(format: Format, facts: &Facts<'_>) -> String {
    match format {
        Format::Spdx => json(&sbom::spdx(facts)),
        Format::CycloneDx => json(&sbom::cyclonedx(facts)),
        Format::RoCrate => json(&workflow_run::ro_crate(facts)),
        Format::Prov => json(&provenance::prov(facts)),
        Format::InToto => json(&provenance::in_toto(facts)),
        Format::EnvironmentYml => recipe::environment_yml(facts),
        Format::RenvLock => json(&recipe::renv_lock(facts)),
        Format::Requirements => recipe::requirements(facts),
        Format::Dockerfile => recipe::dockerfile(facts),
    }
}

/// Keys are sorted: `serde_json`'s maps are.
fn json(value: &Value) -> String {
    format!("{value:#}\n")
}

/// A time of the record, to the second.
fn time(at: Nanos) -> String {
    let time = jiff::Timestamp::from_nanosecond(i128::from(at)).unwrap_or_default();
    time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// `loaded` by the session, `dependency` of what was, else `installed` beside it.
fn state(component: &Component) -> &'static str {
    match (component.loaded, component.dependency) {
        (true, _) => "loaded",
        (false, true) => "dependency",
        (false, false) => "installed",
    }
}

/// Names the facts: equal for equal sessions with equal software.
fn identity(facts: &Facts<'_>) -> Digest {
    let text = serde_json::to_vec(facts.components).unwrap_or_default();
    Digest::of(&[facts.recording.info.id.0.as_bytes(), b"\n", &text].concat())
}
