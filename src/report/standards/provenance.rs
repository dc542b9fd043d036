//! What ran, on what, with which result: what all formats share, PROV and in-toto.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};

use super::{Facts, time};
use crate::{
    digest::Digest,
    files,
    session::model::{Execution, FileVersion, Recording, Role},
};

/// Path → what the session first read there. Files of libraries and the notebook itself are no inputs.
pub(super) fn inputs(facts: &Facts<'_>) -> BTreeMap<String, Digest> {
    let mut found = BTreeMap::new();
    for version in facts.recording.versions.iter().filter(|version| version.role == Role::Read) {
        if let Some(digest) = version.digest {
            found.entry(shown(version)).or_insert(digest);
        }
    }
    found
}

pub(super) fn shown(version: &FileVersion) -> String {
    files::display_bytes(&version.path).to_string()
}

/// `file:` URI of a path (RFC 8089).
pub(super) fn file_uri(path: &[u8]) -> String {
    let mut text = String::from("file://");
    for &byte in path {
        if byte.is_ascii_alphanumeric() || b"/-_.~".contains(&byte) {
            text.push(char::from(byte));
        } else {
            text.push_str(&format!("%{byte:02X}"));
        }
    }
    text
}

/// `file:` URI of a content: path and what it hashes to, so that two contents of one path are two things.
pub(super) fn uri(version: &FileVersion) -> String {
    let mut text = file_uri(&version.path);
    if let Some(digest) = version.digest {
        text.push_str(&format!("#sha256={}", digest.hex()));
    }
    text
}

/// Executions that ran as code.
pub(super) fn visible(recording: &Recording) -> impl Iterator<Item = &Execution> {
    recording.executions.iter().filter(|execution| !execution.silent && !execution.is_magic)
}

/// What an execution used: what it read first, and the last version of what it read again.
pub(super) fn used<'a>(recording: &'a Recording, execution: &Execution) -> Vec<&'a FileVersion> {
    let own = |version: &&FileVersion| version.role == Role::Read && version.execution == Some(execution.id);
    let mut found: Vec<&FileVersion> = recording.versions.iter().filter(own).collect();
    let again: BTreeSet<&[u8]> = recording
        .files
        .iter()
        .filter(|file| file.execution == Some(execution.id))
        .filter(|file| matches!(file.usage, crate::session::model::Use::Read | crate::session::model::Use::Update))
        .map(|file| file.path.as_slice())
        .filter(|path| !found.iter().any(|version| version.path == *path))
        .collect();
    for path in again {
        let before = recording
            .versions
            .iter()
            .filter(|version| version.path == path && version.execution.is_none_or(|by| by < execution.id));
        found.extend(before.max_by_key(|version| version.seen));
    }
    found
}

pub(super) fn generated<'a>(recording: &'a Recording, execution: &Execution) -> Vec<&'a FileVersion> {
    let own = |version: &&FileVersion| version.role == Role::Written && version.execution == Some(execution.id);
    recording.versions.iter().filter(own).collect()
}

/// W3C PROV as PROV-JSON (W3C member submission of 2013).
pub(super) fn prov(facts: &Facts<'_>) -> Value {
    let recording = facts.recording;
    let info = &recording.info;
    let (mut entities, mut activities) = (Map::new(), Map::new());
    let (mut uses, mut generations, mut associations, mut order) = (Map::new(), Map::new(), Map::new(), Map::new());
    let mut entity = |version: &FileVersion| {
        let name = match version.digest {
            Some(digest) => {
                format!("nbpack:file-{}", &Digest::of(format!("{}\n{digest}", shown(version)).as_bytes()).hex())
            }
            None => format!("nbpack:file-{}", &Digest::of(shown(version).as_bytes()).hex()),
        };
        let mut value = Map::new();
        value.insert("prov:location".to_owned(), json!(shown(version)));
        value.extend(version.digest.map(|digest| ("nbpack:sha256".to_owned(), json!(digest.hex()))));
        entities.insert(name.clone(), Value::Object(value));
        name
    };
    let mut previous: Option<String> = None;
    for execution in visible(recording) {
        let name = format!("nbpack:execution-{}", execution.id);
        let mut value = Map::new();
        value.insert("prov:startTime".to_owned(), json!(time(execution.busy.unwrap_or(execution.sent))));
        if let Some(end) = execution.idle.or(execution.reply) {
            value.insert("prov:endTime".to_owned(), json!(time(end)));
        }
        value.insert("nbpack:code".to_owned(), json!(execution.code));
        activities.insert(name.clone(), Value::Object(value));
        associations.insert(
            format!("_:association-{}", execution.id),
            json!({"prov:activity": name, "prov:agent": "nbpack:author"}),
        );
        for (n, version) in used(recording, execution).into_iter().enumerate() {
            let entity = entity(version);
            let key = format!("_:use-{}-{n}", execution.id);
            uses.insert(key, json!({"prov:activity": name, "prov:entity": entity}));
        }
        for (n, version) in generated(recording, execution).into_iter().enumerate() {
            let entity = entity(version);
            let key = format!("_:generation-{}-{n}", execution.id);
            generations.insert(key, json!({"prov:entity": entity, "prov:activity": name}));
        }
        if let Some(before) = previous.replace(name.clone()) {
            order.insert(format!("_:order-{}", execution.id), json!({"prov:informed": name, "prov:informant": before}));
        }
    }
    let agent = json!({"nbpack:author": {"prov:type": {"$": "prov:Person", "type": "prov:QUALIFIED_NAME"}, "nbpack:user": info.user}});
    json!({
        "prefix": {"nbpack": format!("urn:nbpack:{}:", info.id)},
        "entity": entities, "activity": activities, "agent": agent, "used": uses, "wasGeneratedBy": generations,
        "wasAssociatedWith": associations, "wasInformedBy": order,
    })
}

/// An in-toto statement about what the session wrote; a session that wrote nothing speaks of its code.
pub(super) fn in_toto(facts: &Facts<'_>) -> Value {
    let recording = facts.recording;
    let info = &recording.info;
    let mut last: BTreeMap<String, (crate::event::Nanos, Digest)> = BTreeMap::new();
    for version in recording.versions.iter().filter(|version| version.role == Role::Written) {
        if let Some(digest) = version.digest {
            let entry = last.entry(shown(version)).or_insert((version.seen, digest));
            if version.seen >= entry.0 {
                *entry = (version.seen, digest);
            }
        }
    }
    let mut subject: Vec<Value> =
        last.iter().map(|(name, (_, digest))| json!({"name": name, "digest": {"sha256": digest.hex()}})).collect();
    let code: Vec<&str> = visible(recording).flat_map(|execution| [execution.code.as_str(), "\n\0"]).collect();
    let code = code.concat();
    let code = Digest::of(code.as_bytes()).hex();
    if subject.is_empty() {
        subject.push(json!({"name": format!("{}: executed code", facts.name), "digest": {"sha256": code}}));
    }
    let mut dependencies: Vec<Value> =
        inputs(facts).iter().map(|(path, digest)| json!({"name": path, "digest": {"sha256": digest.hex()}})).collect();
    for component in facts.components.iter().filter(|component| component.loaded) {
        let mut value = json!({"name": component.name, "uri": component.purl()});
        if let (Some(record), Some(object)) = (component.record, value.as_object_mut()) {
            object.insert("annotations".to_owned(), json!({"record-sha256": record.hex()}));
        }
        dependencies.push(value);
    }
    json!({
        "_type": "https://in-toto.io/Statement/v1", "subject": subject,
        "predicateType": "https://slsa.dev/provenance/v1",
        "predicate": {
            "buildDefinition": {
                "buildType": "urn:nbpack:session:v1",
                "externalParameters": {"notebook": facts.name, "kernel": info.kernel, "code-sha256": code},
                "internalParameters": {"argv": info.argv, "coverage": info.coverage},
                "resolvedDependencies": dependencies,
            },
            "runDetails": {
                "builder": {"id": "urn:nbpack:recorder", "version": {"nbpack": info.nbpack_version}},
                "metadata": {
                    "invocationId": info.id.0, "startedOn": time(info.started),
                    "finishedOn": time(info.ended.unwrap_or(info.started)),
                },
            },
        },
    })
}
