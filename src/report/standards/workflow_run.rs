//! RO-Crate 1.1 with the profiles for runs of workflows: the notebook is the workflow, its cells are the tools and steps,
//! each execution is an action, with what it read as objects and what it wrote as results.
//!
//! Profiles: Process Run Crate, Workflow Run Crate and Provenance Run Crate 0.5, Workflow RO-Crate 1.0
//! (<https://www.researchobject.org/workflow-run-crate/profiles/>).

use std::{
    collections::{BTreeMap, BTreeSet},
    os::unix::ffi::OsStrExt as _,
};

use serde_json::{Map, Value, json};

use super::{
    Facts,
    provenance::{file_uri, generated, shown, uri, used, visible},
    time,
};
use crate::{
    inventory::model::Component,
    session::model::{Execution, FileVersion, Recording, Role, Status},
};

const WORKFLOW_CRATE: &str = "https://w3id.org/workflowhub/workflow-ro-crate/1.0";
/// Identifier, name and version.
const PROFILES: [(&str, &str, &str); 4] = [
    ("https://w3id.org/ro/wfrun/process/0.5", "Process Run Crate", "0.5"),
    ("https://w3id.org/ro/wfrun/workflow/0.5", "Workflow Run Crate", "0.5"),
    ("https://w3id.org/ro/wfrun/provenance/0.5", "Provenance Run Crate", "0.5"),
    (WORKFLOW_CRATE, "Workflow RO-Crate", "1.0"),
];

fn reference(id: &str) -> Value {
    json!({"@id": id})
}

fn references<'a>(ids: impl IntoIterator<Item = &'a String>) -> Value {
    ids.into_iter().map(|id| reference(id)).collect()
}

fn files_of(versions: Vec<&FileVersion>) -> BTreeSet<String> {
    versions.into_iter().map(uri).collect()
}

/// `ro-crate-metadata.json`.
pub(super) fn ro_crate(facts: &Facts<'_>) -> Value {
    let recording = facts.recording;
    let files: BTreeMap<String, &FileVersion> = visible(recording)
        .flat_map(|execution| used(recording, execution).into_iter().chain(generated(recording, execution)))
        .map(|version| (uri(version), version))
        .collect();
    let mut graph = head(facts, &files);
    let mut seen = BTreeSet::new();
    for component in facts.components.iter().filter(|component| component.loaded) {
        if seen.insert(component.purl()) {
            graph.push(json!({
                "@id": component.purl(), "@type": "SoftwareApplication", "name": component.name,
                "softwareVersion": component.version, "url": component.purl(),
            }));
        }
    }
    for (id, version) in &files {
        let mut file = json!({
            "@id": id, "@type": "File", "name": shown(version), "contentSize": version.signature.size.to_string(),
        });
        if let (Some(digest), Some(object)) = (version.digest, file.as_object_mut()) {
            object.insert("sha256".to_owned(), json!(digest.hex()));
        }
        graph.push(file);
    }
    let cells = Cells::of(recording);
    graph.extend(cells.tools());
    for execution in visible(recording) {
        graph.extend(cells.step(recording, execution));
    }
    json!({
        "@context": [
            "https://w3id.org/ro/crate/1.1/context",
            {"sha256": "https://w3id.org/ro/terms/workflow-run#sha256"},
        ],
        "@graph": graph,
    })
}

/// The crate itself, the notebook as its workflow, and the run as a whole.
fn head(facts: &Facts<'_>, files: &BTreeMap<String, &FileVersion>) -> Vec<Value> {
    let recording = facts.recording;
    let info = &recording.info;
    let path = info.notebook.clone().unwrap_or_else(|| info.cwd.join(format!("{}.ipynb", facts.name)));
    let workflow = file_uri(path.as_os_str().as_bytes());
    let executions: Vec<i64> = visible(recording).map(|execution| execution.id).collect();
    let named = |what: &str| -> Vec<String> { executions.iter().map(|id| format!("#{what}-{id}")).collect() };
    let loaded: BTreeSet<String> =
        facts.components.iter().filter(|component| component.loaded).map(Component::purl).collect();
    let actions = [vec!["#run".to_owned(), "#organize".to_owned()], named("execution")].concat();
    let of_role = |role: Role| -> Vec<&String> {
        files.iter().filter(|(_, version)| version.role == role).map(|(id, _)| id).collect()
    };
    let end = time(info.ended.unwrap_or(info.started));
    let mut graph = vec![
        json!({
            "@id": "ro-crate-metadata.json", "@type": "CreativeWork", "about": {"@id": "./"},
            "conformsTo": [{"@id": "https://w3id.org/ro/crate/1.1"}, {"@id": WORKFLOW_CRATE}],
        }),
        json!({
            "@id": "./", "@type": "Dataset", "name": facts.name, "datePublished": end,
            "description": format!("Session {} of the notebook {}, recorded by nbpack", info.id, facts.name),
            "license": "The notebook's author has not said under which licence it may be used.",
            "conformsTo": PROFILES.iter().map(|(id, ..)| reference(id)).collect::<Value>(),
            "mainEntity": {"@id": workflow},
            "hasPart": references(std::iter::once(&workflow).chain(files.keys())),
            "mentions": references(&actions),
        }),
        json!({
            "@id": workflow, "@type": ["File", "SoftwareSourceCode", "ComputationalWorkflow", "HowTo"], "name": facts.name,
            "encodingFormat": "application/x-ipynb+json", "programmingLanguage": {"@id": "#language"},
            "hasPart": references(&Cells::of(recording).ids()), "step": references(&named("step")),
        }),
        json!({"@id": "#language", "@type": "ComputerLanguage", "name": info.language}),
        json!({
            "@id": "#kernel", "@type": "SoftwareApplication", "name": info.display_name, "url": "https://jupyter.org/",
            "softwareVersion": kernel_version(facts), "softwareRequirements": references(&loaded),
        }),
        json!({"@id": "#author", "@type": "Person", "name": info.user}),
        json!({
            "@id": "#run", "@type": "CreateAction", "name": format!("Run of {}", facts.name), "agent": {"@id": "#author"},
            "instrument": {"@id": workflow}, "startTime": time(info.started), "endTime": end,
            "object": references(of_role(Role::Read)), "result": references(of_role(Role::Written)),
        }),
        json!({
            "@id": "#organize", "@type": "OrganizeAction", "name": format!("Session {} of the kernel", info.id),
            "agent": {"@id": "#author"}, "instrument": {"@id": "#kernel"}, "startTime": time(info.started), "endTime": end,
            "object": references(&named("control")), "result": {"@id": "#run"},
        }),
    ];
    let profiles = PROFILES.iter();
    graph.extend(
        profiles
            .map(|(id, name, version)| json!({"@id": id, "@type": "CreativeWork", "name": name, "version": version})),
    );
    graph
}

fn kernel_version(facts: &Facts<'_>) -> String {
    let python = facts.recording.facts.get("python").and_then(|python| python.get("version")).and_then(Value::as_str);
    python.map_or_else(|| facts.recording.info.kernel.clone(), str::to_owned)
}

/// The cells as tools: the same code is the same cell, whenever it ran.
struct Cells<'a>(BTreeMap<&'a str, i64>);

impl<'a> Cells<'a> {
    fn of(recording: &'a Recording) -> Self {
        let mut first = BTreeMap::new();
        for execution in visible(recording) {
            first.entry(execution.code.as_str()).or_insert(execution.id);
        }
        Self(first)
    }

    fn id(&self, execution: &Execution) -> String {
        format!("#cell-{}", self.0.get(execution.code.as_str()).unwrap_or(&execution.id))
    }

    fn ids(&self) -> BTreeSet<String> {
        self.0.values().map(|id| format!("#cell-{id}")).collect()
    }

    fn tools(&self) -> impl Iterator<Item = Value> {
        self.0.iter().map(|(code, id)| {
            json!({
                "@id": format!("#cell-{id}"), "@type": "SoftwareSourceCode", "name": format!("Cell of execution {id}"),
                "text": code, "programmingLanguage": {"@id": "#language"},
            })
        })
    }

    /// One execution: the step, what directed it, and what was done.
    fn step(&self, recording: &Recording, execution: &Execution) -> [Value; 3] {
        let id = execution.id;
        let cell = self.id(execution);
        let step = json!({
            "@id": format!("#step-{id}"), "@type": "HowToStep", "position": id.to_string(), "workExample": {"@id": cell},
        });
        let control = json!({
            "@id": format!("#control-{id}"), "@type": "ControlAction", "name": format!("Orchestrate execution {id}"),
            "instrument": {"@id": format!("#step-{id}")}, "object": {"@id": format!("#execution-{id}")},
        });
        [step, control, action(recording, execution, &cell)]
    }
}

fn action(recording: &Recording, execution: &Execution, cell: &str) -> Value {
    let mut object = Map::new();
    let mut put = |name: &str, value: Value| object.insert(name.to_owned(), value);
    put("@id", json!(format!("#execution-{}", execution.id)));
    put("@type", json!("CreateAction"));
    put("name", json!(format!("Execution {} of a cell", execution.id)));
    put("description", json!(execution.code));
    put("instrument", reference(cell));
    put("agent", json!({"@id": "#author"}));
    put("startTime", json!(time(execution.busy.unwrap_or(execution.sent))));
    if let Some(end) = execution.idle.or(execution.reply) {
        put("endTime", json!(time(end)));
    }
    let status = if execution.status == Some(Status::Ok) { "CompletedActionStatus" } else { "FailedActionStatus" };
    put("actionStatus", json!({"@id": format!("http://schema.org/{status}")}));
    if let Some(name) = &execution.ename {
        put("error", json!(format!("{name}: {}", execution.evalue.as_deref().unwrap_or_default())));
    }
    for (name, versions) in [("object", used(recording, execution)), ("result", generated(recording, execution))] {
        let list = files_of(versions);
        if !list.is_empty() {
            put(name, references(&list));
        }
    }
    Value::Object(object)
}
