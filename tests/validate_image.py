"""Holds an OCI image layout against the JSON schemas of the image-spec, as Debian ships them.

    validate_image.py DIRECTORY     (made by `nbpack export -o dir:DIRECTORY`)
"""

import json
import pathlib
import sys

import jsonschema
from referencing import Registry
from referencing.jsonschema import DRAFT4

SCHEMAS = pathlib.Path("/usr/share/gocode/src/github.com/opencontainers/image-spec/schema")
directory = pathlib.Path(sys.argv[1])
schemas = {path.name: json.loads(path.read_text()) for path in SCHEMAS.glob("*.json")}
# They name each other by file name, from below identifiers of their own.
registry = Registry(retrieve=lambda uri: DRAFT4.create_resource(schemas[uri.rsplit("/", 1)[-1]]))


def faults(schema, document):
    return [error.message[:500] for error in jsonschema.Draft4Validator(schemas[schema], registry=registry).iter_errors(document)]


def document(name):
    return json.loads((directory / name).read_bytes())


def blob(descriptor):
    return "blobs/" + descriptor["digest"].replace(":", "/")


index = document("index.json")
manifest = document(blob(index["manifests"][0]))
config = document(blob(manifest["config"]))
documents = [
    ("image-layout-schema.json", document("oci-layout")),
    ("image-index-schema.json", index),
    ("image-manifest-schema.json", manifest),
    ("config-schema.json", config),
]
found = [f"{schema}: {fault}" for schema, value in documents for fault in faults(schema, value)]
# A validator that finds nothing in anything would be none.
for schema, value in documents:
    spoiled = {key: 1.5 for key in value}
    if not faults(schema, spoiled):
        found.append(f"{schema}: takes numbers for everything")
print("\n".join(found) or "no fault found")
sys.exit(bool(found))
