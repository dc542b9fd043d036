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


checks = {"spdx": spdx, "cyclonedx": cyclonedx, "prov": prov, "in-toto": in_toto}
failed = False
for name in sys.argv[2:] or checks:
    problems = checks[name]()
    print(name, problems or "valid")
    failed |= bool(problems)
sys.exit(failed)
