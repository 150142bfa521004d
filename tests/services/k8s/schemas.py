"""schemas.py CRDS,... VERSION,... FILES: holds manifests against the schemas of these versions of Kubernetes, and against CRDs.

What no schema knows is an error, unknown fields too. Prints every problem with its object; exit code 1 if there is one.
"""

import sys
from pathlib import Path

import jsonschema
import kubernetes_validate
import yaml

# YAML 1.1 has a type for `=`, which Kubernetes has not
yaml.CSafeLoader.add_constructor("tag:yaml.org,2002:value", yaml.CSafeLoader.construct_scalar)


def strict(schema):
    """The schema of a CRD, made to refuse what it does not name: Kubernetes would drop that without a word."""
    if schema.get("x-kubernetes-int-or-string"):
        return {"type": ["integer", "string"]}
    closed = {key: strict(value) if isinstance(value, dict) and key in ("items", "additionalProperties") else value
              for key, value in schema.items()}
    if "properties" in schema:
        closed["properties"] = {name: strict(value) for name, value in schema["properties"].items()}
        open_ended = schema.get("x-kubernetes-preserve-unknown-fields") or schema.get("x-kubernetes-embedded-resource")
        if not open_ended:
            closed.setdefault("additionalProperties", False)
    return closed


def schemas_of(folders):
    """The schema of each version and kind."""
    schemas = {}
    for path in sorted(path for folder in folders for end in ("yaml", "json") for path in Path(folder).glob(f"*.{end}")):
        for crd in yaml.load_all(path.read_text(), Loader=yaml.CSafeLoader):
            if not crd or crd.get("kind") != "CustomResourceDefinition":
                continue
            spec = crd["spec"]
            for version in spec["versions"]:
                schema = strict(version["schema"]["openAPIV3Schema"])
                schema["properties"] |= {"apiVersion": {}, "kind": {}, "metadata": {"type": "object"}}
                schemas[f"{spec['group']}/{version['name']}", spec["names"]["kind"]] = schema
    return schemas


def problems(manifest, schemas, kubernetes):
    """Every problem of an object, in words."""
    key = manifest.get("apiVersion"), manifest.get("kind")
    if key in schemas:
        found = jsonschema.Draft202012Validator(schemas[key]).iter_errors(manifest)
        return [f"{error.json_path}: {error.message}" for error in found]
    try:
        kubernetes_validate.validate(manifest, kubernetes, strict=True)
    except kubernetes_validate.SchemaNotFoundError as error:
        return [error.message]
    except kubernetes_validate.ValidationError as error:
        return [f"{error.json_path}: {error.message}"]
    return []


def main():
    _, crds, versions, *files = sys.argv
    schemas = schemas_of(crds.split(","))
    bad = False
    for file in files:
        manifests = [manifest for manifest in yaml.load_all(Path(file).read_text(), Loader=yaml.CSafeLoader) if manifest]
        if not manifests:
            sys.exit(f"{file}: there is no object in it")
        for manifest in manifests:
            name = f"{manifest.get('kind')} {manifest.get('metadata', {}).get('name')}"
            for kubernetes in versions.split(","):
                for problem in problems(manifest, schemas, kubernetes):
                    print(f"{file}: {name}, Kubernetes {kubernetes}: {problem}", file=sys.stderr)
                    bad = True
    sys.exit(bad)


main()
