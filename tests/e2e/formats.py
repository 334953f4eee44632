"""Data directories of earlier releases (tests/fixtures/FORMAT/): opened where they stand now, continued, and judged by the independent checker."""
import http.client
import io
import json
import random
import signal
import subprocess
import sys
import tarfile

import zstandard

from answers import count, table_names
from harness import ROOT

sys.path.insert(0, str(ROOT / "tests/soak"))
import soak  # noqa: E402

FIXTURES = sorted((ROOT / "tests/fixtures").glob("*/lake.tar.zst"))


def unpack(t, packed):
    folder = t.dir / packed.parent.name
    data = zstandard.ZstdDecompressor().decompress(packed.read_bytes(), max_output_size=1 << 30)
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        tar.extractall(folder)
    return folder, json.loads((packed.parent / "answers.json").read_text())


def arguments(folder):
    return ["--project", folder / "project", "--data", folder / "lake", "--source", f"ride_events={folder / 'in2'}", "--set", "weir.partitions=2",
            "--set", "weir.file.quiet=0s"]


def test_a_data_directory_of_each_earlier_format_is_opened_and_continued(t):
    t.ok(FIXTURES, "tests/fixtures holds no data directory")
    for packed in FIXTURES:
        t.ok(packed.stat().st_size < 200_000, f"{packed} is {packed.stat().st_size} bytes")
        folder, answers = unpack(t, packed)
        (folder / "in2").mkdir()
        refused = t.weir("run", "--once", *arguments(folder), code=1)
        t.ok(answers["made_in"] in refused.err and f"weir relocate --data {folder / 'lake'}" in refused.err, f"a moved directory is not explained: {refused.err}")
        t.weir("relocate", "--data", folder / "lake")
        t.equal({name: count(folder / "lake", name) for name in table_names(folder / "lake")}, answers["rows"], "rows of the tables as they were kept")
        sent = continue_it(t, folder)
        checked = subprocess.run([sys.executable, ROOT / "tests/checker/checker.py", "--sent", folder / "sent.jsonl", "--data", folder / "lake",
                                  "--project", folder / "project"], capture_output=True, text=True)
        t.equal(checked.returncode, 0, f"the checker on {packed} after {sent} more records: {checked.stdout}{checked.stderr[-2000:]}")
        ledger = t.weir("show", "ledger", "--data", folder / "lake", "-o", "json").json
        t.equal(ledger[0]["received"], answers["received"] + sent, "received records")


def continue_it(t, folder):
    """Sends old and new records over HTTP and in a file; returns how many."""
    log = [json.loads(line) for line in (folder / "sent.jsonl").read_text().splitlines()]
    rides = soak.Rides("n", random.Random(2), soak.Calendar(random.Random(3)))
    # Identities of committed epochs, and of the tail of the log that was never committed, are still known.
    answered = [line for line in log if line.get("answer")]
    old = [line["records"][[a["verdict"] for a in line["answer"]].index("accepted")] for line in (answered[0], answered[-1])]
    records = [r.encode("latin-1") for r in old] + [rides.record() for _ in range(60)]
    life = soak.Life(0, ["up", "--port", "0", *arguments(folder)], folder)
    try:
        life.wait_until_ready()
        connection = http.client.HTTPConnection("127.0.0.1", life.port, timeout=60)
        connection.request("POST", "/v1/events/ride_events", body=b"\n".join(records), headers={"Content-Type": "application/x-ndjson"})
        answer = json.loads(connection.getresponse().read())["results"]
        t.equal([a["verdict"] for a in answer[:2]], ["duplicate", "duplicate"], "verdicts on records that the earlier release had accepted")
        life.end(signal.SIGTERM)
    finally:
        if life.process.poll() is None:
            life.process.kill()
            life.process.wait()
    lines = [rides.record() for _ in range(40)]
    (folder / "in2/new.ndjson").write_bytes(b"\n".join(lines) + b"\n")
    t.weir("run", "--once", *arguments(folder))
    with open(folder / "sent.jsonl", "a") as out:
        out.write(json.dumps({"send": "n", "seq": 1, "records": [r.decode("latin-1") for r in records], "answer": answer}) + "\n")
        out.write(json.dumps({"file": "in2/new.ndjson", "partition": soak.FILE_PARTITION}) + "\n")
    return len(records) + len(lines)
