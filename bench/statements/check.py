#!/usr/bin/env python3
"""Are gramwise's statements what others read? Each is held against the other side's own reader.

    python3 -m venv /tmp/readers && /tmp/readers/bin/pip install codecarbon==3.3.2 huggingface_hub jsonschema pandas prometheus-client pyarrow
    cargo build --release && target/release/gramwise run examples/digits/sweep.yaml --db /tmp/digits.db
    /tmp/readers/bin/python bench/statements/check.py /tmp/digits.db BOAMPS-SCHEMAS [GRAMWISE]

BOAMPS-SCHEMAS is a folder with the five `*_schema.json` of github.com/Boavizta/BoAmps, folder `model`.
"""

import json
import os
import subprocess
import sys
import tempfile

database, schemas = sys.argv[1:3]
here = os.path.dirname(os.path.abspath(__file__))
gramwise = sys.argv[3] if len(sys.argv) > 3 else os.path.join(here, "../../target/release/gramwise")


def said(*words):
    return subprocess.run([gramwise, "--db", database, *words], check=True, capture_output=True, text=True).stdout


report = json.loads(said("report", "-o", "json"))


def boamps():
    import jsonschema
    from referencing import Registry, Resource
    from referencing.jsonschema import DRAFT4

    documents = [json.load(open(os.path.join(schemas, name))) for name in os.listdir(schemas) if name.endswith("_schema.json")]
    registry = Registry().with_resources(
        (document["id"], Resource.from_contents(document, default_specification=DRAFT4)) for document in documents
    )
    whole = next(document for document in documents if document["title"] == "report")
    validator = jsonschema.Draft4Validator(whole, registry=registry)
    statement = json.loads(said("statement", "--as", "boamps"))
    validator.validate(statement)
    kwh = statement["measures"][0]["powerConsumption"]
    assert abs(kwh * 3.6e6 - report["energy_j"]) <= 1e-6 * report["energy_j"], kwh
    del statement["task"]
    assert not validator.is_valid(statement), "the schema is looked at"


def codecarbon():
    import pandas
    from codecarbon.output_methods.emissions_data import EmissionsData
    from codecarbon.output_methods.file import FileOutput

    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "emissions.csv")
        with open(path, "w") as file:
            file.write(said("statement", "--as", "codecarbon"))
        table = pandas.read_csv(path)
        fields = EmissionsData.__dataclass_fields__
        # Its own writer appends to a file whose columns are its own, and to no other.
        row = {name: 0 for name in fields}
        assert FileOutput("emissions.csv", folder).has_valid_headers(EmissionsData(**row)), list(table.columns)
        for column in ["duration", "emissions", "cpu_energy", "gpu_energy", "ram_energy", "energy_consumed", "pue"]:
            assert table[column].dtype.kind in "fi", (column, table[column].dtype)
        assert len(table) == sum(report["trials"][state] for state in ["total"])
        charged = report["accounts"]["trial"]["co2e_g"] + report["accounts"]["lost"]["co2e_g"]
        assert abs(table["emissions"].sum() * 1000 - charged) <= 1e-6 * charged, table["emissions"].sum()


def huggingface():
    from huggingface_hub import ModelCard

    yaml = said("statement", "--as", "huggingface")
    card = ModelCard(f"---\nlicense: mit\n{yaml}---\n# A model\n")
    emissions = card.data.to_dict()["co2_eq_emissions"]
    assert emissions["emissions"] == report["best"]["co2e_g"], emissions
    assert "the whole search" in emissions["source"], emissions


def openmetrics():
    from prometheus_client.openmetrics.parser import text_string_to_metric_families

    families = {family.name: family for family in text_string_to_metric_families(said("statement", "--as", "openmetrics"))}
    joules = sum(sample.value for sample in families["gramwise_energy_joules"].samples)
    assert abs(joules - report["energy_j"]) <= 1e-9 * report["energy_j"], joules
    assert families["gramwise_energy_joules"].unit == "joules"


def parquet():
    import io

    import pyarrow.parquet

    told = [gramwise, "--db", database, "trials", str(report["sweep"]), "-o", "parquet"]
    table = pyarrow.parquet.read_table(io.BytesIO(subprocess.run(told, check=True, capture_output=True).stdout))
    assert table.num_rows == report["trials"]["total"]
    types = {field.name: str(field.type) for field in table.schema}
    assert (types["energy_uj"], types["co2e_g"], types["state"]) == ("int64", "double", "string"), types
    assert sum(table["energy_uj"].to_pylist()) == report["accounts"]["trial"]["energy_uj"]


for check in [boamps, codecarbon, huggingface, openmetrics, parquet]:
    check()
    print(f"{check.__name__}: read by its own reader")
