//! Software lists: SPDX 2.3 and CycloneDX 1.6.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};

use super::{Facts, identity, licence, state, time};
use crate::{digest::Digest, inventory::model::Component};

/// A name for each component that is unique in the document: its purl, numbered where two installations share it.
fn references(components: &[Component]) -> Vec<String> {
    let mut seen: BTreeMap<String, usize> = BTreeMap::new();
    components
        .iter()
        .map(|component| {
            let purl = component.purl();
            let count = seen.entry(purl.clone()).or_default();
            *count += 1;
            if *count == 1 { purl } else { format!("{purl}#{count}") }
        })
        .collect()
}

/// For each component the indices of those it needs.
fn needs(components: &[Component]) -> Vec<Vec<usize>> {
    let mut by_name: BTreeMap<(&str, &str), usize> = BTreeMap::new();
    for (index, component) in components.iter().enumerate() {
        by_name.entry((&component.kind, &component.name)).or_insert(index);
    }
    let of = |component: &Component| -> Vec<usize> {
        let found: BTreeSet<usize> = component
            .requires
            .iter()
            .filter_map(|name| by_name.get(&(component.kind.as_str(), name.as_str())).copied())
            .collect();
        found.into_iter().collect()
    };
    components.iter().map(of).collect()
}

/// What neither format has a field for.
fn properties(component: &Component) -> Vec<(&'static str, String)> {
    let mut found = vec![("nbpack:state", state(component).to_owned())];
    let mut put = |name: &'static str, value: Option<String>| found.extend(value.map(|value| (name, value)));
    put("nbpack:declared", component.declared.clone());
    put("nbpack:requested", component.requested.map(|requested| requested.to_string()));
    put("nbpack:installer", component.installer.clone());
    put("nbpack:record-sha256", component.record.map(|digest| digest.hex()));
    put("nbpack:direct-url", component.direct_url.as_ref().map(Value::to_string));
    put("nbpack:checkout", component.checkout.clone());
    for path in &component.modified {
        found.push(("nbpack:modified-file", path.clone()));
    }
    found
}

/// The VCS commit that a distribution was installed from, as a download location (SPDX 2.3, 7.7).
fn download_location(component: &Component) -> Option<String> {
    let direct = component.direct_url.as_ref()?;
    let url = direct.get("url")?.as_str()?;
    let vcs = direct.pointer("/vcs_info/vcs")?.as_str()?;
    let commit = direct.pointer("/vcs_info/commit_id")?.as_str()?;
    // A token in the URL stays at home.
    let plain = !url.contains('@') && !url.contains(char::is_whitespace) && url.contains("://");
    plain.then(|| format!("{vcs}+{url}@{commit}"))
}

/// An SPDX 2.3 document.
pub(super) fn spdx(facts: &Facts<'_>) -> Value {
    let info = &facts.recording.info;
    let mut extracted: BTreeMap<String, String> = BTreeMap::new();
    let mut packages = vec![json!({
        "SPDXID": "SPDXRef-Notebook", "name": facts.name, "versionInfo": info.id.0, "primaryPackagePurpose": "APPLICATION",
        "downloadLocation": "NOASSERTION", "filesAnalyzed": false, "licenseConcluded": "NOASSERTION",
        "licenseDeclared": "NOASSERTION", "copyrightText": "NOASSERTION",
    })];
    let mut relationships = vec![relationship("SPDXRef-DOCUMENT", "DESCRIBES", "SPDXRef-Notebook".to_owned())];
    let needs = needs(facts.components);
    for ((index, component), needed) in facts.components.iter().enumerate().zip(needs) {
        let id = format!("SPDXRef-Package-{index}");
        let declared = component.licence.as_deref().map(str::trim).filter(|text| !text.is_empty()).map(|text| {
            licence::spdx(text).unwrap_or_else(|| {
                let reference = format!("LicenseRef-{}", &Digest::of(text.as_bytes()).short());
                extracted.insert(reference.clone(), text.to_owned());
                reference
            })
        });
        let comment: Vec<String> =
            properties(component).into_iter().map(|(name, value)| format!("{name}={value}")).collect();
        packages.push(json!({
            "SPDXID": id, "name": component.name, "versionInfo": component.version, "primaryPackagePurpose": "LIBRARY",
            "downloadLocation": download_location(component).unwrap_or_else(|| "NOASSERTION".to_owned()),
            "filesAnalyzed": false, "licenseConcluded": "NOASSERTION",
            "licenseDeclared": declared.unwrap_or_else(|| "NOASSERTION".to_owned()), "copyrightText": "NOASSERTION",
            "externalRefs": [{
                "referenceCategory": "PACKAGE-MANAGER", "referenceType": "purl", "referenceLocator": component.purl(),
            }],
            "comment": comment.join("\n"),
        }));
        let word = if component.loaded { "DEPENDS_ON" } else { "CONTAINS" };
        relationships.push(relationship("SPDXRef-Notebook", word, id.clone()));
        for other in needed {
            relationships.push(relationship(&id, "DEPENDS_ON", format!("SPDXRef-Package-{other}")));
        }
    }
    let licences: Vec<Value> =
        extracted.iter().map(|(id, text)| json!({"licenseId": id, "name": id, "extractedText": text})).collect();
    let mut document = json!({
        "spdxVersion": "SPDX-2.3", "dataLicense": "CC0-1.0", "SPDXID": "SPDXRef-DOCUMENT", "name": facts.name,
        "documentNamespace": format!("https://spdx.org/spdxdocs/nbpack-{}", identity(facts).hex()),
        "creationInfo": {
            "created": time(info.started), "creators": [format!("Tool: nbpack-{}", info.nbpack_version)],
        },
        "packages": packages, "relationships": relationships,
    });
    if let (false, Some(object)) = (licences.is_empty(), document.as_object_mut()) {
        object.insert("hasExtractedLicensingInfos".to_owned(), licences.into());
    }
    document
}

fn relationship(from: &str, word: &str, to: String) -> Value {
    json!({"spdxElementId": from, "relationshipType": word, "relatedSpdxElement": to})
}

/// A CycloneDX 1.6 document. Software lists that wheels bring are merged: their components lie in the component that
/// brings them.
pub(super) fn cyclonedx(facts: &Facts<'_>) -> Value {
    let info = &facts.recording.info;
    let references = references(facts.components);
    let mut components: Vec<Value> = facts.components.iter().zip(&references).map(|(c, r)| component(c, r)).collect();
    components.extend(datasets(facts));
    let needs = needs(facts.components);
    let named = |indices: &[usize]| -> Vec<&String> { indices.iter().filter_map(|&at| references.get(at)).collect() };
    let loaded: Vec<usize> =
        facts.components.iter().enumerate().filter(|(_, component)| component.loaded).map(|(at, _)| at).collect();
    let mut dependencies = vec![json!({"ref": "notebook", "dependsOn": named(&loaded)})];
    dependencies.extend(
        references.iter().zip(&needs).map(|(reference, needed)| json!({"ref": reference, "dependsOn": named(needed)})),
    );
    json!({
        "bomFormat": "CycloneDX", "specVersion": "1.6", "version": 1,
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "serialNumber": format!("urn:uuid:{}", uuid(&identity(facts))),
        "metadata": {
            "timestamp": time(info.started),
            "tools": {"components": [{"type": "application", "name": "nbpack", "version": info.nbpack_version}]},
            "component": {"type": "application", "bom-ref": "notebook", "name": facts.name, "version": info.id.0},
        },
        "components": components, "dependencies": dependencies,
    })
}

/// A UUID of version 8 (RFC 9562): bits of our own choice.
fn uuid(digest: &Digest) -> String {
    let mut hex: Vec<char> = digest.hex().chars().take(32).collect();
    for (at, c) in [(12, '8'), (16, '8')] {
        if let Some(place) = hex.get_mut(at) {
            *place = c;
        }
    }
    let part = |from: usize, to: usize| hex.get(from..to).unwrap_or_default().iter().collect::<String>();
    [part(0, 8), part(8, 12), part(12, 16), part(16, 20), part(20, 32)].join("-")
}

fn component(component: &Component, reference: &str) -> Value {
    let mut object = Map::new();
    let mut put = |name: &str, value: Value| object.insert(name.to_owned(), value);
    put("type", json!("library"));
    put("bom-ref", json!(reference));
    put("name", json!(component.name));
    put("version", json!(component.version));
    put("purl", json!(component.purl()));
    if let Some(text) = component.licence.as_deref().map(str::trim).filter(|text| !text.is_empty()) {
        let licence = match licence::spdx(text) {
            Some(id) if !id.contains(' ') => json!({"license": {"id": id}}),
            Some(expression) => json!({"expression": expression}),
            None => json!({"license": {"name": text}}),
        };
        put("licenses", json!([licence]));
    }
    let list: Vec<Value> =
        properties(component).into_iter().map(|(name, value)| json!({"name": name, "value": value})).collect();
    put("properties", list.into());
    if let Some(location) = download_location(component) {
        put("externalReferences", json!([{"type": "vcs", "url": location}]));
    }
    let brought: Vec<Value> =
        component.sboms.iter().enumerate().flat_map(|(n, sbom)| brought(sbom, reference, n)).collect();
    if !brought.is_empty() {
        put("components", brought.into());
    }
    Value::Object(object)
}

/// Components of a CycloneDX or SPDX list that a wheel brings, brought to what both formats say.
fn brought(sbom: &Value, owner: &str, number: usize) -> Vec<Value> {
    let list = |name: &str| sbom.get(name).and_then(Value::as_array).cloned().unwrap_or_default();
    let word = |value: &Value, name: &str| value.get(name).and_then(Value::as_str).map(str::to_owned);
    let mut found: Vec<(String, Option<String>, Option<String>)> = Vec::new();
    let is_cyclonedx = sbom.get("bomFormat").is_some();
    for item in if is_cyclonedx { list("components") } else { list("packages") } {
        let purl = if is_cyclonedx {
            word(&item, "purl")
        } else {
            let references = item.get("externalRefs").and_then(Value::as_array).cloned().unwrap_or_default();
            references
                .iter()
                .find(|reference| word(reference, "referenceType").as_deref() == Some("purl"))
                .and_then(|reference| word(reference, "referenceLocator"))
        };
        let version = word(&item, if is_cyclonedx { "version" } else { "versionInfo" });
        found.extend(word(&item, "name").map(|name| (name, version, purl)));
    }
    found.sort();
    found.dedup();
    let as_component = |(at, (name, version, purl)): (usize, (String, Option<String>, Option<String>))| {
        let mut object = Map::new();
        object.insert("type".to_owned(), json!("library"));
        object.insert("bom-ref".to_owned(), json!(format!("{owner}/sbom-{number}-{at}")));
        object.insert("name".to_owned(), json!(name));
        object.extend(version.map(|version| ("version".to_owned(), json!(version))));
        object.extend(purl.map(|purl| ("purl".to_owned(), json!(purl))));
        Value::Object(object)
    };
    found.into_iter().enumerate().map(as_component).collect()
}

/// The inputs, as components of the type `data`.
fn datasets(facts: &Facts<'_>) -> Vec<Value> {
    let inputs = super::provenance::inputs(facts);
    let as_component = |(path, digest): (&String, &Digest)| {
        json!({
            "type": "data", "bom-ref": format!("data:{path}"), "name": path,
            "hashes": [{"alg": "SHA-256", "content": digest.hex()}],
        })
    };
    inputs.iter().map(as_component).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_installations_of_one_version_have_two_names() {
        let component = Component {
            kind: "pypi".to_owned(),
            name: "a".to_owned(),
            version: "1+x".to_owned(),
            ..Component::default()
        };
        let names = references(&[component.clone(), component]);
        assert_eq!(names, ["pkg:pypi/a@1%2Bx", "pkg:pypi/a@1%2Bx#2"]);
    }

    #[test]
    fn lists_that_a_wheel_brings_are_read_in_both_formats() {
        let cyclonedx = json!({"bomFormat": "CycloneDX", "components": [{"name": "openblas", "version": "0.3", "purl": "pkg:x/y"}]});
        let spdx = json!({"spdxVersion": "SPDX-2.3", "packages": [{"name": "zlib", "versionInfo": "1.3"}]});
        assert_eq!(brought(&cyclonedx, "o", 0)[0]["purl"], "pkg:x/y");
        assert_eq!(brought(&spdx, "o", 1)[0]["version"], "1.3");
        assert!(brought(&json!([]), "o", 0).is_empty());
    }

    #[test]
    fn a_commit_is_a_download_location_unless_the_address_holds_a_token() {
        let of = |url: &str| {
            let direct = json!({"url": url, "vcs_info": {"vcs": "git", "commit_id": "abc"}});
            download_location(&Component { direct_url: Some(direct), ..Component::default() })
        };
        assert_eq!(of("https://e.org/x").as_deref(), Some("git+https://e.org/x@abc"));
        assert_eq!(of("https://user:token@e.org/x"), None);
    }
}
