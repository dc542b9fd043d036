"""Asks validators that are not ours what they think of a session's documents.

    validate_standards.py DIRECTORY
"""

import json
import pathlib
import sys

directory = pathlib.Path(sys.argv[1])


def text(name):
    return (directory / name).read_text()


def spdx():
    from spdx_tools.spdx.parser.parse_anything import parse_file
    from spdx_tools.spdx.validation.document_validator import validate_full_spdx_document

    return [m.validation_message for m in validate_full_spdx_document(parse_file(str(directory / "sbom.spdx.json")))]


def cyclonedx():
    from cyclonedx.schema import SchemaVersion
    from cyclonedx.validation.json import JsonStrictValidator

    error = JsonStrictValidator(SchemaVersion.V1_6).validate_str(text("sbom.cdx.json"))
    return [] if error is None else [str(error)[:2000]]


def prov():
    from prov.model import ProvActivity, ProvDocument

    document = ProvDocument.deserialize(content=text("prov.json"), format="json")
    return [] if list(document.get_records(ProvActivity)) else ["no activity"]


def in_toto():
    from google.protobuf import json_format
    import in_toto_attestation.predicates.provenance.v1.provenance_pb2 as provenance_pb
    from in_toto_attestation.v1.statement import Statement
    import in_toto_attestation.v1.statement_pb2 as statement_pb

    message = json_format.Parse(text("provenance.intoto.json"), statement_pb.Statement())
    Statement.copy_from_pb(message).validate()
    json_format.ParseDict(json.loads(text("provenance.intoto.json"))["predicate"], provenance_pb.Provenance())
    return []


def ro_crate():
    """The profiles up to Provenance Run Crate, with the context that another package brings: no network is asked."""
    import requests
    import rocrate
    from rocrate_validator import models, services
    from rocrate_validator.utils import document_loader, http

    # Its version 1.3 has moved the terms of Bioschemas; those of 1.1 stand without `terms`.
    bundled = pathlib.Path(rocrate.__file__).parent / "data/ro-crate.jsonld"
    context = bundled.read_text().replace("https://bioschemas.org/terms/", "https://bioschemas.org/")

    def answer(_self, url, *_args, **_named):
        response = requests.Response()
        response.status_code = 200 if url == "https://w3id.org/ro/crate/1.1/context" else 404
        response._content = context.encode()
        response.headers["Content-Type"] = "application/ld+json"
        return response

    http.HttpRequester.get = answer
    document_loader._fetch_json_ld = lambda url: answer(None, url).json()
    issues = []
    for profile in ["ro-crate-1.1", "process-run-crate-0.5", "workflow-run-crate-0.5", "provenance-run-crate-0.5"]:
        settings = services.ValidationSettings(
            rocrate_uri=str(directory), profile_identifier=profile, requirement_severity=models.Severity.REQUIRED, offline=True
        )
        result = services.validate(settings)
        if not result.executed_checks:
            issues.append(f"{profile}: nothing was checked")
        issues += [f"{profile}: {issue.check.identifier}: {issue.message}" for issue in result.get_issues()]
    return issues


checks = {"spdx": spdx, "cyclonedx": cyclonedx, "prov": prov, "in-toto": in_toto, "ro-crate": ro_crate}
failed = False
for name in sys.argv[2:] or checks:
    problems = checks[name]()
    print(name, problems or "valid")
    failed |= bool(problems)
sys.exit(failed)
